// The `serial` driver: a module on a UART, a USB CDC port or a pseudo-terminal, opened again whenever it went away.

import type { Driver } from "../../src/device/driver.ts";
import { Host } from "../../src/kq/host/host.ts";
import { KeptHost } from "../../src/kq/host/reopen.ts";
import { serialPath } from "./find.ts";
import { SerialLine } from "./line.ts";

/** Used when the configuration names no rate; USB CDC ports and pseudo-terminals ignore it. */
const BAUD_RATE = 921_600;

/** Resolves at once; `status().line` is `up` when a module has answered. */
export const openSerialKeySource: Driver = async (options, ports) => {
  const { link, port, baudRate = BAUD_RATE } = options;
  const open = async () => SerialLine.open(await serialPath(port), baudRate);
  return new KeptHost(new Host(options, ports), { link, port, open }, ports);
};
