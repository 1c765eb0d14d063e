// The `serial` driver: a module on a UART, a USB CDC port or a pseudo-terminal, here or at another machine that passes its
// line on (ser2net); opened again whenever it went away.

import { parseNetworkPort } from "../../src/core/places/network-port.ts";
import type { OpenSource } from "../../src/device/driver.ts";
import { Host } from "../../src/kq/host/host.ts";
import { KeptHost, type OpenLine } from "../../src/kq/host/reopen.ts";
import { serialPath } from "./find.ts";
import { SerialLine } from "./line.ts";
import { NetworkLine } from "./network-line.ts";

/** Used when the configuration names no rate; USB CDC ports and pseudo-terminals ignore it. */
const BAUD_RATE = 921_600;

/** Resolves at once; `status().line` is `up` when a module has answered. */
export const openSerialKeySource: OpenSource = async (options, ports) => {
  const { link, port, baudRate = BAUD_RATE } = options;
  const network = parseNetworkPort(port);
  const open = async (): Promise<OpenLine> =>
    network === undefined ? SerialLine.open(await serialPath(port), baudRate) : NetworkLine.open(network);
  return new KeptHost(new Host(options, ports), { link, port, open }, ports);
};
