// The `serial` driver as the configuration sees it.

import * as v from "valibot";
import { integer } from "../../src/config/schema/fields.ts";
import type { ModuleDriver } from "../../src/device/driver.ts";
import { MODULE_OPTIONS, moduleFlaws } from "../common/module-options.ts";

const OPTIONS = {
  baud_rate: v.optional(integer(300, 12_000_000, "bits a second, for lines that have a rate")),
  ...MODULE_OPTIONS,
};

const HID_DEVICE = {
  path: /^\/dev\/hidraw/,
  sentence: 'is a HID device: write driver = "hid", or name a serial port',
};

/** Modules on serial lines, here or behind ser2net. */
export const SERIAL: ModuleDriver<typeof OPTIONS> = {
  kind: "module",
  options: OPTIONS,
  flaws: (link) => moduleFlaws(link, HID_DEVICE),
  open: async (module, { baud_rate: baudRate }, ports) =>
    (await import("./source.ts")).openSerialKeySource({ ...module, baudRate }, ports),
};
