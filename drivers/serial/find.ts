// Which device a serial port means: its path, or the terminal of a USB device in sysfs that says these ids of itself.

import { readdir, readFile, readlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  type Found,
  isUsbPort,
  onlyOne,
  PortError,
  parseUsbPort,
  USB_PORT_FORM,
  type UsbPort,
} from "../../src/core/places/usb-port.ts";

const TERMINALS = "/sys/class/tty";
/** From a terminal up to its USB device: terminal, perhaps its port, interface, device, and one to spare. */
const LEVELS = 6;

/**
 * Path to open now. `terminals` is the folder where the system lists its terminals.
 * @throws PortError when no device fits, or several do
 */
export async function serialPath(port: string, terminals = TERMINALS): Promise<string> {
  if (!isUsbPort(port)) return port;
  const usb = parseUsbPort(port);
  if (usb === undefined) throw new PortError(`"${port}" is not ${USB_PORT_FORM}`);
  const found: Found[] = [];
  // A container may have no sysfs: then there is no such terminal either.
  for (const name of await readdir(terminals).catch((): string[] => [])) {
    const serialNumber = await serialNumberOf(join(terminals, name), usb);
    if (serialNumber !== undefined) found.push({ path: `/dev/${name}`, serialNumber });
  }
  return onlyOne(port, usb, found);
}

/** Empty when the device has none; `undefined` when the terminal is not on a device of these ids. */
async function serialNumberOf(terminal: string, { vendorId, productId }: UsbPort): Promise<string | undefined> {
  const target = await readlink(terminal).catch(() => "");
  if (!target.includes("/usb")) return undefined;
  let folder = resolve(dirname(terminal), target);
  for (let level = 0; level < LEVELS; level++) {
    folder = dirname(folder);
    const vendor = await said(folder, "idVendor");
    if (vendor === undefined) continue;
    const product = (await said(folder, "idProduct")) ?? "";
    if (Number.parseInt(vendor, 16) !== vendorId || Number.parseInt(product, 16) !== productId) return undefined;
    return (await said(folder, "serial")) ?? "";
  }
  return undefined;
}

const said = (folder: string, what: string): Promise<string | undefined> =>
  readFile(join(folder, what), "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
