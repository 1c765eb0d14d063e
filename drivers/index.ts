// The drivers that a configuration may name. Each is loaded when it is opened: most nodes need one of them.

import type { BoxDriver, ModuleDriver, OptionsOf } from "../src/device/driver.ts";
import { ETSI004 } from "./etsi004/driver.ts";
import { ETSI014 } from "./etsi014/driver.ts";
import { HID } from "./hid/driver.ts";
import { SERIAL } from "./serial/driver.ts";

/** Drivers by the name that a configuration gives; a new one is a line here. */
export const DRIVERS = {
  serial: SERIAL,
  hid: HID,
  etsi014: ETSI014,
  etsi004: ETSI004,
} as const satisfies Readonly<Record<string, ModuleDriver | BoxDriver>>;

/** The name of a driver in a configuration. */
export type DriverName = keyof typeof DRIVERS;

/** The names that a configuration may give. */
export const DRIVER_NAMES = Object.keys(DRIVERS) as readonly DriverName[];

type Together<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;
type AllOptions = Together<(typeof DRIVERS)[DriverName]["options"]>;

/** What a link may say to any of them. */
export const LINK_OPTIONS: AllOptions = Object.assign({}, ...Object.values(DRIVERS).map(({ options }) => options));

/** What a link says to its driver: keys as in the file. */
export type LinkOptions = OptionsOf<AllOptions>;
