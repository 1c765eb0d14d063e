// Ports named by USB ids: how they are written, and which of the devices found they mean.

import { expect, test } from "vitest";
import {
  isUsbPort,
  mayBeSame,
  onlyOne,
  PortError,
  parseUsbPort,
  type UsbPort,
} from "../../../src/core/places/usb-port.ts";

const port = (text: string): UsbPort => {
  const parsed = parseUsbPort(text);
  if (parsed === undefined) throw new Error(`${text} was not understood`);
  return parsed;
};

test.each([
  ["usb:0403:6001", 0x0403, 0x6001, undefined],
  ["usb:0403:6001:A50285BI", 0x0403, 0x6001, "A50285BI"],
  ["usb:FFEE:00aB:x:y/z", 0xffee, 0xab, "x:y/z"],
])("%s is understood", (text, vendorId, productId, serialNumber) => {
  expect(parseUsbPort(text)).toEqual({ vendorId, productId, serialNumber });
});

test.each(["usb:", "usb:403:6001", "usb:0403", "usb:0403:6001:", "usb:0403:6001:a b", "usb:04g3:6001", "/dev/ttyUSB0"])(
  "%s is no USB port",
  (text) => {
    expect(parseUsbPort(text)).toBeUndefined();
  },
);

test("paths and USB ports are told apart", () => {
  expect(["usb:0403:6001", "usb:nonsense", "/dev/ttyUSB0", "usb"].map(isUsbPort)).toEqual([true, true, false, false]);
});

test("two ports may be the same device unless ids or serial numbers differ", () => {
  const all = ["usb:0403:6001", "usb:0403:6001:A", "usb:0403:6001:B", "usb:0403:6002"].map(port);
  const same = all.map((a) => all.map((b) => (mayBeSame(a, b) ? 1 : 0)).join(""));
  expect(same).toEqual(["1110", "1100", "1010", "0001"]);
});

const found = [
  { path: "/dev/ttyUSB1", serialNumber: "B" },
  { path: "/dev/ttyUSB0", serialNumber: "A" },
  { path: "/dev/ttyUSB3", serialNumber: "C" },
  { path: "/dev/ttyUSB2", serialNumber: "C" },
];

test("the device with the serial number is meant, or the only one", () => {
  expect(onlyOne("usb:0403:6001:A", port("usb:0403:6001:A"), found)).toBe("/dev/ttyUSB0");
  expect(onlyOne("usb:0403:6001", port("usb:0403:6001"), found.slice(0, 1))).toBe("/dev/ttyUSB1");
});

test("a device that is listed once for each of its uses is one device", () => {
  const [one] = found;
  expect(onlyOne("usb:0403:6001", port("usb:0403:6001"), one ? [one, one] : [])).toBe("/dev/ttyUSB1");
});

test.each([
  ["usb:0403:6001:D", "no device is there for usb:0403:6001:D", undefined],
  [
    "usb:0403:6001:C",
    "usb:0403:6001:C fits several devices: /dev/ttyUSB2 (serial number C), /dev/ttyUSB3 (serial number C); name it by a path",
    "several-devices",
  ],
])("none or several that fit %s are a complaint", (text, sentence, alarm) => {
  const complaint = (): unknown => {
    try {
      return onlyOne(text, port(text), found);
    } catch (thrown) {
      return thrown;
    }
  };
  expect(complaint()).toBeInstanceOf(PortError);
  expect(complaint()).toMatchObject({ message: sentence, alarm });
});
