// The HID driver on a model of USB with a real module behind it: its contract, hot plug, faults, and wrong devices.

import { describe, expect, onTestFinished, test } from "vitest";
import { secretOf } from "../../../src/core/memory/secret.ts";
import type { KeySource } from "../../../src/device/key-source.ts";
import { exerciseKeySource } from "../../contracts/key-source.ts";
import { seededRandom } from "../../kq/world.ts";
import { type Hurt, ModelDevice } from "./model-usb.ts";
import { HidRig, IDS } from "./rig.ts";

async function rigWith({ plugged = true, rig = new HidRig() } = {}): Promise<HidRig> {
  if (plugged) await rig.plug();
  onTestFinished(() => rig[Symbol.asyncDispose]());
  return rig;
}

async function opened(rig: HidRig, port?: string): Promise<KeySource> {
  const source = await rig.open(port);
  onTestFinished(() => source[Symbol.asyncDispose]());
  return source;
}

const upTo = (count: number) => Array.from({ length: count }, (_, sequence) => sequence);

exerciseKeySource("the HID driver", async () => {
  const rig = new HidRig();
  await rig.plug();
  return rig;
});

describe("hot plug", () => {
  test("a module that is not there yet is found when it comes, and nobody looks more than once a second for long", async () => {
    const rig = await rigWith({ plugged: false });
    const source = await opened(rig);
    await rig.pass(30_000);
    expect(source.status()).toEqual({ line: "down", alarms: [] });
    expect(rig.warnings()).toEqual([
      "the line cannot be opened yet; trying until it can: no device is there for usb:1209:7a1b:QKD-0007",
    ]);
    expect(rig.usb.looks).toBeLessThan(40);
    await rig.plug();
    expect(await rig.take(source, 3)).toEqual([0, 1, 2]);
  });

  test("a module pulled out after any number of reports, and put back under another name, loses and repeats nothing", async () => {
    for (const reports of [0, 1, 2, 35, 36, 68, 69, 70, 150, 331]) {
      const rig = new HidRig();
      await rig.plug();
      const source = await rig.open();
      let left = reports;
      rig.module.towardsHost = (report) => {
        if (left-- === 0) rig.clock.after(0, () => void rig.restartCable());
        return [report];
      };
      expect(await rig.take(source, 12), `pulled out after ${reports}`).toEqual(upTo(12));
      expect(left).toBeLessThan(0);
      await source[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    }
  });

  test("a module that is open and takes no report is opened again, once a second at most, until it does", async () => {
    const rig = await rigWith();
    const source = await opened(rig);
    await rig.take(source, 2);
    rig.usb.refuseWrites = true;
    await rig.until("the line is down", () => source.status().line === "down");
    await rig.pass(20_000);
    expect(rig.warnings().length).toBeLessThan(40);
    rig.usb.refuseWrites = false;
    expect(await rig.take(source, 3)).toEqual([2, 3, 4]);
  });
});

describe("reports that are hurt", () => {
  const random = seededRandom(7);
  const KINDS: Readonly<Record<string, Hurt>> = {
    lost: () => [],
    repeated: (report) => [report, report],
    cut: (report) => [report.subarray(0, Math.floor(random.fraction() * 64))],
    garbled: (report) => [report.map((byte) => byte ^ (random.fraction() < 0.1 ? 0x10 : 0)) as Buffer],
  };

  test.each(Object.entries(KINDS))(
    "now and then %s: every block arrives, none wrong and none twice",
    async (_kind, hurt) => {
      const rig = await rigWith();
      const source = await opened(rig);
      const sometimes: Hurt = (report) =>
        random.fraction() < 0.002 ? hurt(report).map((one) => Buffer.from(one)) : [report];
      rig.module.towardsHost = sometimes;
      rig.module.towardsDevice = sometimes;
      expect(await rig.take(source, 40)).toEqual(upTo(40));
    },
  );
});

describe("other devices", () => {
  test("two that fit are told with their serial numbers, and neither is opened until one is gone", async () => {
    const rig = await rigWith();
    const other = new ModelDevice({ ...IDS, serialNumber: "QKD-0008" });
    rig.usb.plug(other);
    const source = await opened(rig, "usb:1209:7A1B");
    await rig.until("the alarm is up", () => source.status().alarms.length > 0);
    expect(source.status().alarms).toEqual(["several-devices"]);
    expect(rig.warnings()[0]).toContain(
      "usb:1209:7A1B fits several devices: /dev/hidraw0 (serial number QKD-0007), " +
        "/dev/hidraw1 (serial number QKD-0008); add the serial number",
    );
    expect(rig.usb.opened).toBe(0);
    rig.usb.unplug(other);
    expect(await rig.take(source, 2)).toEqual([0, 1]);
    expect(source.status().alarms).toEqual([]);
  });

  test("a complaint is told once, and again when it changes", async () => {
    const rig = await rigWith();
    const other = new ModelDevice({ ...IDS, serialNumber: "QKD-0008" });
    rig.usb.plug(other);
    await opened(rig, "usb:1209:7a1b");
    await rig.pass(3_000);
    rig.usb.unplug(other);
    rig.usb.unplug(rig.module);
    await rig.pass(3_000);
    expect(rig.warnings().filter((line) => line.includes("several devices"))).toHaveLength(1);
    expect(rig.warnings().at(-1)).toContain("no device is there");
  });

  test("a module's serial number tells it from others of its kind", async () => {
    const rig = await rigWith({ plugged: false });
    for (const serialNumber of ["QKD-0006", "qkd-0007", ""]) rig.usb.plug(new ModelDevice({ ...IDS, serialNumber }));
    await rig.plug();
    const source = await opened(rig);
    expect(await rig.take(source, 2)).toEqual([0, 1]);
  });

  test("a device with a keyboard's use beside the vendor's own is opened by its own", async () => {
    const rig = await rigWith();
    const keyboard = new ModelDevice({ ...IDS, usagePage: 1 });
    rig.usb.plug(keyboard);
    const source = await opened(rig);
    expect(await rig.take(source, 2)).toEqual([0, 1]);
  });

  test("a wrong device with the same ids is told after ten seconds, brings no block, and gives way to the right one", async () => {
    const rig = await rigWith({ plugged: false });
    const random = seededRandom(3);
    const wrong = new ModelDevice(IDS);
    wrong.received = () => void wrong.send(Buffer.from(random.hex(64), "hex"));
    rig.usb.plug(wrong);
    const source = await opened(rig);
    wrong.send(Buffer.alloc(8, 4));
    await rig.until("the alarm is up", () => source.status().alarms.length > 0);
    expect(source.status()).toEqual({ line: "down", alarms: ["no-answer"] });
    expect(rig.warnings()).toEqual(["the line is open, but no module answers: is it the right device, and is it on?"]);
    expect(rig.heard.count("line_faults", { kind: "damaged" })).toBeGreaterThan(0);
    rig.usb.unplug(wrong);
    await rig.plug();
    expect(await rig.take(source, 2)).toEqual([0, 1]);
    expect(source.status().alarms).toEqual([]);
  });
});

describe("permission", () => {
  test("without it the udev rule to add is told, and it goes on when it is given", async () => {
    const rig = await rigWith();
    rig.usb.forbidden.add("*");
    const source = await opened(rig);
    await rig.until("the alarm is up", () => source.status().alarms.length > 0);
    expect(source.status().alarms).toEqual(["no-permission"]);
    expect(rig.warnings()[0]).toContain(
      'no permission for /dev/hidraw0: put SUBSYSTEM=="hidraw", ATTRS{idVendor}=="1209", ATTRS{idProduct}=="7a1b", ' +
        'GROUP="qkm", MODE="0660" into /etc/udev/rules.d/70-qkm.rules',
    );
    rig.usb.forbidden.clear();
    expect(await rig.take(source, 2)).toEqual([0, 1]);
  });

  test("at a path the rule is for all devices", async () => {
    const rig = await rigWith();
    rig.usb.forbidden.add("/dev/hidraw0");
    await opened(rig, "/dev/hidraw0");
    await rig.until("it is told", () => rig.warnings().length > 0);
    expect(rig.warnings()[0]).toContain('SUBSYSTEM=="hidraw", KERNEL=="hidraw*", GROUP="qkm"');
  });
});

test("a port may be a path", async () => {
  const rig = await rigWith();
  const source = await opened(rig, "/dev/hidraw0");
  expect(await rig.take(source, 2)).toEqual([0, 1]);
});

test("every report that was handed out is zero when the driver is done with it", async () => {
  const rig = await rigWith();
  const source = await opened(rig);
  await rig.take(source, 3);
  expect(rig.usb.handed.length).toBeGreaterThan(200);
  expect(rig.usb.handed.every((report) => report.every((byte) => byte === 0))).toBe(true);
});

test("with a pairing key no piece of a block lies bare in a report", async () => {
  using pairingKey = secretOf(Buffer.alloc(32, 0x5a));
  const rig = await rigWith({ rig: new HidRig(pairingKey) });
  const seen: Buffer[] = [];
  rig.module.towardsHost = (report) => {
    seen.push(Buffer.from(report));
    return [report];
  };
  const source = await opened(rig);
  expect(await rig.take(source, 3)).toEqual([0, 1, 2]);
  const wire = Buffer.concat(seen);
  for (let at = 0; at < 4_096; at += 16) expect(wire.includes(rig.made(1, 0).subarray(at, at + 16))).toBe(false);
});
