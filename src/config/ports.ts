// Where the modules of links are plugged in: what a port of each driver looks like, and that no two are one.

import type { LinkConfig, NodeConfig } from "../config.ts";
import { BOX_PORT_FORMS, isBoxDriver, isBoxPort, parseBoxPort } from "../core/places/box-port.ts";
import { isNetworkPort, NETWORK_PORT_FORM, parseNetworkPort } from "../core/places/network-port.ts";
import { isUsbPort, mayBeSame, parseUsbPort, USB_PORT_FORM } from "../core/places/usb-port.ts";
import type { Complain } from "./checks.ts";
import type { Path } from "./lines.ts";

/** Devices that are another driver's, by the driver that is named. */
const FOREIGN: Readonly<Record<string, { readonly device: RegExp; readonly sentence: string }>> = {
  serial: { device: /^\/dev\/hidraw/, sentence: 'is a HID device: write driver = "hid", or name a serial port' },
  hid: {
    device: /^\/dev\/(tty|serial\/)/,
    sentence: 'is a serial port: write driver = "serial", or name a HID device',
  },
};

/** Complains of ports of links that the driver cannot have, or that two links share. */
export function checkPorts({ links }: NodeConfig, complain: Complain): void {
  for (const [at, link] of links.entries()) {
    const path = ["links", at, "port"];
    const foreign = FOREIGN[link.driver];
    if (isUsbPort(link.port) && parseUsbPort(link.port) === undefined) {
      complain(path, `"${link.port}" must be a path or ${USB_PORT_FORM}`);
    }
    if (isNetworkPort(link.port)) checkNetworkPort(link, path, complain);
    checkBox(link, ["links", at], complain);
    if (foreign?.device.test(link.port)) complain(path, `${link.port} ${foreign.sentence}`);
    if (link.driver === "hid" && link.baudRate !== undefined) {
      complain(["links", at, "baud_rate"], "a HID device has no rate: remove it");
    }
    // One box may serve several links, each for another KM at the far end.
    const other = isBoxDriver(link.driver) ? undefined : links.slice(0, at).find((one) => isSamePort(one, link));
    if (other !== undefined) complain(path, `"${link.port}" is the module of a link already, "${other.id}"`);
  }
}

function checkNetworkPort({ driver, port, pairingKeyFile }: LinkConfig, path: Path, complain: Complain): void {
  if (parseNetworkPort(port) === undefined) complain(path, `"${port}" must be ${NETWORK_PORT_FORM}`);
  if (driver === "hid") complain(path, `${port} is a serial line: write driver = "serial"`);
  if (pairingKeyFile === undefined) {
    complain([...path.slice(0, -1), "pairing_key_file"], `is missing: what comes from ${port} passes a network`);
  }
}

/** A box needs to know who asks, and a module has no use for that. */
function checkBox(link: LinkConfig, path: Path, complain: Complain): void {
  const { driver, port, box, pairingKeyFile, baudRate } = link;
  if (!isBoxDriver(driver)) {
    if (box !== undefined) complain([...path, "box"], `belongs to a link whose driver is "etsi014" or "etsi004"`);
    if (isBoxPort(port))
      complain([...path, "port"], `${port} is a vendor's box: write driver = "etsi014", or "etsi004"`);
    return;
  }
  if (parseBoxPort(port)?.driver !== driver) complain([...path, "port"], `"${port}" must be ${BOX_PORT_FORMS[driver]}`);
  if (box === undefined) complain([...path, "box"], "is missing: [links.box] says who this KM is to the box");
  for (const name of ["local", "remote"] as const) {
    if (driver !== "etsi004" || box === undefined || /^[^:/]+:?\/\/./.test(box[name])) continue;
    complain([...path, "box", name], `"${box[name]}" must be a URI, for example "qkd://km-a@site-a"`);
  }
  if (pairingKeyFile !== undefined) complain([...path, "pairing_key_file"], "belongs to modules: remove it");
  if (baudRate !== undefined) complain([...path, "baud_rate"], "a box has no rate: remove it");
}

function isSamePort(a: LinkConfig, b: LinkConfig): boolean {
  const [usbA, usbB] = [parseUsbPort(a.port), parseUsbPort(b.port)];
  return a.port === b.port || (usbA !== undefined && usbB !== undefined && mayBeSame(usbA, usbB));
}
