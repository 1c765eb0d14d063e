// The drivers that a configuration may name. Each is loaded when it is opened: most nodes need one of them.

import type { Driver } from "../src/device/driver.ts";

/** Drivers by the name that a configuration gives. */
export const DRIVERS = {
  serial: async (options, ports) => (await import("./serial/source.ts")).openSerialKeySource(options, ports),
  hid: async (options, ports) => (await import("./hid/source.ts")).openHidKeySource(options, ports),
} as const satisfies Record<string, Driver>;

/** The name of a driver in a configuration. */
export type DriverName = keyof typeof DRIVERS;
