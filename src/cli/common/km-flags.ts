// Flags of Node for the process of a KM.

/**
 * No debugger by signal; and what V8 sets apart for new objects stays at a few MiB: what a thousand connections that come
 * together leave behind would else keep 30 MiB for good. The appliance's unit has the same.
 */
export const KM_FLAGS = ["--disable-sigusr1", "--max-semi-space-size=4"] as const;
