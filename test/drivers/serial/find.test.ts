// Serial ports by USB ids, on a folder that looks like sysfs.

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { serialPath } from "../../../drivers/serial/find.ts";
import { scratchFolder } from "../../support/pty.ts";

const UART = "devices/platform/serial8250/tty";

interface Adapter {
  readonly vendor: string;
  readonly product: string;
  readonly serial?: string;
}

/** What Linux shows of terminals; the first path element of an adapter's terminal is where it is plugged in. */
class Sysfs {
  readonly #folder = scratchFolder();

  constructor() {
    onTestFinished(() => this.#folder[Symbol.dispose]());
    mkdirSync(this.terminals, { recursive: true });
    this.#terminal(`${UART}/ttyS0`);
  }

  get terminals(): string {
    return join(this.#folder.path, "class/tty");
  }

  /** `inside` lies between the device and its terminal: an interface, and for ttyUSB its port. */
  plug(place: string, inside: string, { vendor, product, serial }: Adapter): void {
    const device = join(this.#folder.path, "devices/pci0000:00/usb1", place);
    this.#terminal(join("devices/pci0000:00/usb1", place, inside));
    writeFileSync(join(device, "idVendor"), `${vendor}\n`);
    writeFileSync(join(device, "idProduct"), `${product}\n`);
    if (serial !== undefined) writeFileSync(join(device, "serial"), `${serial}\n`);
  }

  #terminal(path: string): void {
    const terminal = join(this.#folder.path, path);
    mkdirSync(terminal, { recursive: true });
    symlinkSync(relative(this.terminals, terminal), join(this.terminals, path.slice(dirname(path).length + 1)));
  }
}

function twoAdapters(): Sysfs {
  const sysfs = new Sysfs();
  sysfs.plug("1-1", "1-1:1.0/ttyUSB0/tty/ttyUSB0", { vendor: "0403", product: "6001", serial: "A50285BI" });
  sysfs.plug("1-2/1-2.4", "1-2.4:1.0/tty/ttyACM0", { vendor: "1209", product: "7a1b" });
  return sysfs;
}

test("a path is itself", async () => {
  expect(await serialPath("/dev/serial/by-id/usb-FTDI-if00-port0")).toBe("/dev/serial/by-id/usb-FTDI-if00-port0");
});

test.each([
  ["usb:0403:6001:A50285BI", "/dev/ttyUSB0"],
  ["usb:0403:6001", "/dev/ttyUSB0"],
  ["usb:1209:7A1B", "/dev/ttyACM0"],
])("%s is the terminal of that adapter", async (port, path) => {
  expect(await serialPath(port, twoAdapters().terminals)).toBe(path);
});

test.each(["usb:0403:6001:A50285BJ", "usb:1209:7a1b:A50285BI", "usb:0403:6002"])("%s is nowhere", async (port) => {
  await expect(serialPath(port, twoAdapters().terminals)).rejects.toThrow(`no device is there for ${port}`);
});

test("an adapter with two terminals, and two adapters without serial numbers, are a complaint", async () => {
  const sysfs = twoAdapters();
  sysfs.plug("1-1", "1-1:1.1/ttyUSB1/tty/ttyUSB1", { vendor: "0403", product: "6001", serial: "A50285BI" });
  sysfs.plug("1-3", "1-3:1.0/tty/ttyACM1", { vendor: "1209", product: "7a1b" });
  await expect(serialPath("usb:0403:6001:A50285BI", sysfs.terminals)).rejects.toThrow(
    "fits several devices: /dev/ttyUSB0 (serial number A50285BI), /dev/ttyUSB1 (serial number A50285BI); name it by a path",
  );
  await expect(serialPath("usb:1209:7a1b", sysfs.terminals)).rejects.toThrow(
    "/dev/ttyACM0 (serial number none), /dev/ttyACM1 (serial number none); add the serial number",
  );
});

test("what is not written as it must be is told how", async () => {
  await expect(serialPath("usb:403:6001")).rejects.toThrow("is not usb:VENDOR:PRODUCT:SERIAL");
});

test("where the system lists no terminals there is none of that device", async () => {
  await expect(serialPath("usb:0403:6001", "/nowhere/class/tty")).rejects.toThrow(
    "no device is there for usb:0403:6001",
  );
});

test("the terminals of this machine can be looked through", async () => {
  await expect(serialPath("usb:ffff:ffff")).rejects.toThrow("no device is there for usb:ffff:ffff");
});
