// The `hid` driver: a module on USB HID, found by its ids or at a path, opened again whenever it went away.

import { isUsbPort, onlyOne, PortError, parseUsbPort, USB_PORT_FORM } from "../../src/core/places/usb-port.ts";
import type { OpenSource } from "../../src/device/driver.ts";
import { REPORT_USAGE_PAGE, REPORTS } from "../../src/kq/framing/reports.ts";
import { Host } from "../../src/kq/host/host.ts";
import { KeptHost } from "../../src/kq/host/reopen.ts";
import type { HidEdge } from "./edge.ts";
import { HidLine } from "./line.ts";
import { nodeHid } from "./node-hid.ts";

/** The driver on a HID library. */
export const hidDriver =
  (edge: HidEdge): OpenSource =>
  async (options, ports) => {
    const { link, port } = options;
    const open = () => openLine(edge, port);
    return new KeptHost(new Host({ ...options, framing: REPORTS }, ports), { link, port, open }, ports);
  };

/** Resolves at once; `status().line` is `up` when a module has answered. */
export const openHidKeySource: OpenSource = hidDriver(nodeHid);

async function openLine(edge: HidEdge, port: string): Promise<HidLine> {
  const path = await hidPath(edge, port);
  try {
    return new HidLine(await edge.open(path));
  } catch (cause) {
    throw isForbidden(cause) ? forbidden(port, path) : cause;
  }
}

/** A device with several uses counts by the one that is a vendor's own, if it has such. */
async function hidPath(edge: HidEdge, port: string): Promise<string> {
  if (!isUsbPort(port)) return port;
  const usb = parseUsbPort(port);
  if (usb === undefined) throw new PortError(`"${port}" is not ${USB_PORT_FORM}`);
  const devices = await edge.devices(usb.vendorId, usb.productId);
  const own = devices.filter(({ usagePage }) => usagePage >= REPORT_USAGE_PAGE);
  return onlyOne(port, usb, own.length > 0 ? own : devices);
}

const isForbidden = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && (cause.code === "EACCES" || cause.code === "EPERM");

function forbidden(port: string, path: string): PortError {
  const [, vendor, product] = port.split(":");
  const which = isUsbPort(port)
    ? `ATTRS{idVendor}=="${vendor?.toLowerCase()}", ATTRS{idProduct}=="${product?.toLowerCase()}"`
    : 'KERNEL=="hidraw*"';
  const rule = `SUBSYSTEM=="hidraw", ${which}, GROUP="qkm", MODE="0660"`;
  return new PortError(
    `no permission for ${path}: put ${rule} into /etc/udev/rules.d/70-qkm.rules, with a group of the user that runs ` +
      "qkm, then run udevadm control --reload and plug the module in again",
    "no-permission",
  );
}
