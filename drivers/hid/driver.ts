// The `hid` driver as the configuration sees it.

import { isNetworkPort } from "../../src/core/places/network-port.ts";
import type { ModuleDriver } from "../../src/device/driver.ts";
import { MODULE_OPTIONS, moduleFlaws } from "../common/module-options.ts";

const SERIAL_PORT = {
  path: /^\/dev\/(tty|serial\/)/,
  sentence: 'is a serial port: write driver = "serial", or name a HID device',
};

/** Modules on USB HID. */
export const HID: ModuleDriver<typeof MODULE_OPTIONS> = {
  kind: "module",
  options: MODULE_OPTIONS,
  flaws: (link) => [
    ...moduleFlaws(link, SERIAL_PORT),
    ...(isNetworkPort(link.port)
      ? [{ key: ["port"], sentence: `${link.port} is a serial line: write driver = "serial"` }]
      : []),
  ],
  open: async (module, _options, ports) => (await import("./source.ts")).openHidKeySource(module, ports),
};
