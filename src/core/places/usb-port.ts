// A port named by what is plugged in: `usb:VENDOR:PRODUCT:SERIAL`.

/** What a USB device says of itself. */
export interface UsbPort {
  readonly vendorId: number;
  readonly productId: number;
  /** Without one any device of these ids will do, if there is but one. */
  readonly serialNumber: string | undefined;
}

/** How such a port is written, for complaints. */
export const USB_PORT_FORM =
  "usb:VENDOR:PRODUCT:SERIAL, vendor and product as four hexadecimal digits each, as lsusb shows them";

/** Why no line can be opened here, and the alarm that says so in `qkm status`, if it needs someone. */
export class PortError extends Error {
  override readonly name = "PortError";
  readonly alarm: string | undefined;

  constructor(sentence: string, alarm?: string) {
    super(sentence);
    this.alarm = alarm;
  }
}

/** Whether a port is one of these rather than a path. */
export const isUsbPort = (port: string): boolean => port.startsWith("usb:");

/** `undefined` when it is not written so; the serial number may have colons of its own. */
export function parseUsbPort(port: string): UsbPort | undefined {
  const [, vendor, product, serialNumber] = /^usb:([0-9a-f]{4}):([0-9a-f]{4})(?::([!-~]{1,126}))?$/i.exec(port) ?? [];
  if (vendor === undefined || product === undefined) return undefined;
  return { vendorId: Number.parseInt(vendor, 16), productId: Number.parseInt(product, 16), serialNumber };
}

/** Whether one device could be both. */
export const mayBeSame = (a: UsbPort, b: UsbPort): boolean =>
  a.vendorId === b.vendorId &&
  a.productId === b.productId &&
  (a.serialNumber === undefined || b.serialNumber === undefined || a.serialNumber === b.serialNumber);

/** A device as it was found. */
export interface Found {
  readonly path: string;
  readonly serialNumber: string | undefined;
}

/** Path of the one device that `port` means. @throws PortError when there is none, or more than one */
export function onlyOne(port: string, { serialNumber }: UsbPort, found: readonly Found[]): string {
  const fitting = found.filter((one) => serialNumber === undefined || one.serialNumber === serialNumber);
  const paths = [...new Set(fitting.map(({ path }) => path))];
  const [path] = paths;
  if (path === undefined) throw new PortError(`no device is there for ${port}`);
  if (paths.length === 1) return path;
  const each = fitting.map((one) => `${one.path} (serial number ${one.serialNumber || "none"})`);
  const remedy = serialNumber === undefined ? "add the serial number" : "name it by a path";
  throw new PortError(
    `${port} fits several devices: ${[...new Set(each)].toSorted().join(", ")}; ${remedy}`,
    "several-devices",
  );
}
