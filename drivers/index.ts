// The drivers that a configuration may name. Each is loaded when it is opened: most nodes need one of them.

import type { Driver } from "../src/device/driver.ts";
import type { BoxDriver } from "../src/device/key-box.ts";

/** Drivers of modules, by the name that a configuration gives. */
export const DRIVERS = {
  serial: async (options, ports) => (await import("./serial/source.ts")).openSerialKeySource(options, ports),
  hid: async (options, ports) => (await import("./hid/source.ts")).openHidKeySource(options, ports),
} as const satisfies Record<string, Driver>;

/** Drivers of vendor's boxes. */
export const BOX_DRIVERS = {
  etsi014: async (options, ports) => (await import("./etsi014/source.ts")).openEtsi014KeyBox(options, ports),
  etsi004: async (options, ports) => (await import("./etsi004/source.ts")).openEtsi004KeyBox(options, ports),
} as const satisfies Record<string, BoxDriver>;

/** The names that a configuration may give. */
export const DRIVER_NAMES: readonly string[] = [...Object.keys(DRIVERS), ...Object.keys(BOX_DRIVERS)];

/** The name of a module's driver in a configuration. */
export type DriverName = keyof typeof DRIVERS;
/** The name of a box's. */
export type BoxDriverName = keyof typeof BOX_DRIVERS;
