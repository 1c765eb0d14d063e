// What a board is: the hardware that the appliance runs on, as data.

export interface Board {
  readonly name: string;
  /** One sentence for people. */
  readonly about: string;
  /** Device of the serial console, if it has one. */
  readonly console: string | undefined;
  /** Devices where QKD modules are plugged in, in the order of the connectors. */
  readonly modulePorts: readonly string[];
  /** USB HID modules to look for. */
  readonly hidIds: readonly { readonly vendorId: number; readonly productId: number }[];
  /** The security module's PKCS#11 library, and whether it is SoftHSM, which wants a configuration file. */
  readonly token: { readonly module: string; readonly softhsm: boolean };
  /** Device of the hardware watchdog, if it has one, and the time after which it resets the board. */
  readonly watchdog: { readonly device: string; readonly timeoutS: number } | undefined;
  /** Locked memory; `allowUnlocked` is for development only. */
  readonly memory: { readonly slabBytes: number; readonly ringBytes: number; readonly allowUnlocked: boolean };
  /** What makes its image, a path below boards/, if one is made. */
  readonly image: string | undefined;
}
