// Ports of modules in the configuration: paths, USB ids, and what is wrong with them.

import { expect, test } from "vitest";
import { DRIVER_NAMES, DRIVERS, LINK_OPTIONS } from "../../drivers/index.ts";
import { parseConfig } from "../../src/config/read.ts";
import { complaintsOf, FILE, nodeToml } from "./node-toml.ts";

/** One link to each of two neighbours, with these lines. */
const node = (ab: string, ad: string): string =>
  nodeToml(`[[links]]
id = "ab"
peer = "km-b"
${ab}
[[links]]
id = "ad"
peer = "km-d"
${ad}
[[peers]]
id = "km-b"
address = "kmb.example:7103"
[[peers]]
id = "km-d"
address = "kmd.example:7403"`);

const OTHER = 'port = "/dev/ttyUSB7"';

const complaints = (ab: string, ad = OTHER): string[] => complaintsOf(node(ab, ad));

test.each([
  [
    'port = "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0"',
    "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0",
  ],
  ['port = "modules/ab"', "/etc/qkm/modules/ab"],
  ['port = "usb:0403:6001:A50285BI"', "usb:0403:6001:A50285BI"],
  ['port = "tcp:192.0.2.9:2000"\npairing_key_file = "p"', "tcp:192.0.2.9:2000"],
  ['port = "usb:1209:7a1b"\ndriver = "hid"', "usb:1209:7a1b"],
  ['port = "/dev/hidraw0"\ndriver = "hid"', "/dev/hidraw0"],
])("%s is %s", (written, port) => {
  expect(complaints(written)).toEqual([]);
  expect(parseConfig(node(written, OTHER), FILE).links[0]?.port).toBe(port);
});

test.each([
  [
    "USB ids that are none",
    'port = "usb:403:6001"',
    'links[0].port: "usb:403:6001" must be a path or usb:VENDOR:PRODUCT:SERIAL',
  ],
  [
    "a HID device on a serial line",
    'port = "/dev/hidraw0"',
    'links[0].port: /dev/hidraw0 is a HID device: write driver = "hid"',
  ],
  [
    "a serial port as HID",
    'driver = "hid"\nport = "/dev/ttyACM0"',
    "links[0].port: /dev/ttyACM0 is a serial port: write driver",
  ],
  [
    "the same by its id",
    'driver = "hid"\nport = "/dev/serial/by-id/x"',
    "links[0].port: /dev/serial/by-id/x is a serial port",
  ],
  [
    "a rate for HID",
    'driver = "hid"\nport = "usb:1209:7a1b"\nbaud_rate = 9600',
    'links[0].baud_rate: belongs to driver = "serial": remove it',
  ],
  [
    "a line over a network without a pairing key",
    'port = "tcp:192.0.2.9:2000"',
    "links[0].pairing_key_file: is missing: what comes from tcp:192.0.2.9:2000 passes a network",
  ],
  [
    "a line over a network that names no port",
    'port = "tcp:192.0.2.9"\npairing_key_file = "p"',
    'links[0].port: "tcp:192.0.2.9" must be tcp:HOST:PORT',
  ],
  [
    "an unknown driver",
    'driver = "fax"\nport = "x"',
    'links[0].driver: there is no driver "fax"; there is serial, hid, etsi014, etsi004',
  ],
])("%s is one complaint", (_what, written, sentence) => {
  expect(complaints(written)).toEqual([expect.stringContaining(sentence)]);
});

const VALUES: Readonly<Record<string, string>> = {
  baud_rate: "baud_rate = 9600",
  pairing_key_file: 'pairing_key_file = "p"',
  box: 'box = { remote = "r", certificate = "c", key = "k", trust = "t" }',
};
const FOREIGN = DRIVER_NAMES.flatMap((driver) =>
  Object.keys(LINK_OPTIONS)
    .filter((key) => !Object.hasOwn(DRIVERS[driver].options, key))
    .map((key) => [key, driver] as const),
);

test.each(FOREIGN)("%s, an option of other drivers, is a complaint where the driver is %s", (key, driver) => {
  expect(complaints(`driver = "${driver}"\nport = "x"\n${VALUES[key]}`)).toContainEqual(
    expect.stringContaining(`links[0].${key}: belongs to driver = "`),
  );
});

test.each([
  ["a path", 'port = "/dev/ttyUSB7"'],
  ["the same ids, in other letters", 'port = "usb:0403:60AB:X"', 'port = "usb:0403:60ab:X"'],
  ["ids without a serial number", 'port = "usb:0403:60ab"', 'port = "usb:0403:60ab:X"'],
])("two links on one module are a complaint: %s", (_what, ab, ad = OTHER) => {
  expect(complaints(ab, ad)).toEqual([
    expect.stringMatching(/^links\[1\]\.port: ".*" is the module of a link already, "ab"$/),
  ]);
});

test("two modules of a kind are told apart by their serial numbers", () => {
  expect(complaints('port = "usb:0403:60ab:X"', 'port = "usb:0403:60ab:Y"')).toEqual([]);
});
