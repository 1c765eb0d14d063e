// The driver on the real node-hid, as far as that goes without a HID device.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeHid } from "../../../drivers/hid/node-hid.ts";
import { openHidKeySource } from "../../../drivers/hid/source.ts";
import { systemClock, systemRandom } from "../../../src/control/system.ts";
import { linkId } from "../../../src/core/ids.ts";
import { CountedPool } from "../../kq/world.ts";
import { scratchFolder, waitUntil } from "../../support/pty.ts";
import { recorder } from "../../support/recorder.ts";

/** Ids that USB gives to nobody. */
const NOBODY = 0xffff;

test("it lists the devices of some ids, of which there are none here", async () => {
  expect(await nodeHid.devices(NOBODY, NOBODY)).toEqual([]);
});

test("a path where nothing is, and one that is no HID device, fail and say so", async () => {
  await expect(nodeHid.open("/dev/no-such-device")).rejects.toMatchObject({ code: "ENOENT" });
  await expect(nodeHid.open("/dev/null")).rejects.toThrow(/\/dev\/null.*not a HIDRAW device/);
  using folder = scratchFolder();
  const file = join(folder.path, "file");
  await (await open(file, "w")).close();
  await expect(nodeHid.open(file)).rejects.toThrow(/not a HIDRAW device/);
});

test.each([
  ["ids of no device", "usb:ffff:ffff", "no device is there for usb:ffff:ffff"],
  ["a path that is no HID device", "/dev/null", "not a HIDRAW device"],
])("a source on %s stays down, tells why once, and closes at once", async (_what, port, why) => {
  const heard = recorder();
  const pool = new CountedPool(4, 4_096);
  const ports = { pool, clock: systemClock, random: systemRandom, log: heard.log, meter: heard.meter };
  {
    await using source = await openHidKeySource({ link: linkId("ab"), port, blockBytes: 4_096 }, ports);
    await waitUntil("it was tried", () => heard.lines.length > 0);
    expect(source.status()).toEqual({ line: "down", alarms: [] });
  }
  expect(heard.lines.map(({ fields }) => fields.cause)).toEqual([expect.stringContaining(why)]);
  expect(pool.taken).toBe(0);
});
