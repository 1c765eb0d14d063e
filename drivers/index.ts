// The drivers that a configuration may name.

import type { Driver } from "../src/device/driver.ts";
import { openHidKeySource } from "./hid/source.ts";
import { openSerialKeySource } from "./serial/source.ts";

export const DRIVERS = { serial: openSerialKeySource, hid: openHidKeySource } as const satisfies Record<string, Driver>;

export type DriverName = keyof typeof DRIVERS;
