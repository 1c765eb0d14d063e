// Tests of src/control/health/watchdog-feeder.ts: kicked while all is healthy, withheld when a part is silent, tried again when it is gone.

import { afterEach, beforeEach, expect, test } from "vitest";
import { Health } from "../../../src/control/health/health.ts";
import { WatchdogFeeder, watchdogGauges } from "../../../src/control/health/watchdog-feeder.ts";
import { Fault } from "../../../src/core/fault.ts";
import type { Watchdog } from "../../../src/device/watchdog.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";

let clock: ManualClock;
let health: Health;
let told: Recorder;
/** What was done with the device, and whether it is there. */
let deeds: string[];
let isThere: boolean;
let timeoutS: number | undefined;
beforeEach(() => {
  clock = new ManualClock();
  health = new Health(clock);
  told = recorder();
  deeds = [];
  isThere = true;
  timeoutS = 30;
});
afterEach(() => {
  health[Symbol.dispose]();
  expect(clock.waiting).toBe(0);
});

const act = (deed: string): void => {
  if (!isThere) throw new Fault("WATCHDOG_UNAVAILABLE", { text: "the device is gone" });
  deeds.push(deed);
};

function open(device: string): Watchdog {
  act("open");
  return {
    info: { device, identity: "model", timeoutS, noWayOut: false, hasReset: false },
    kick: () => act("kick"),
    disarm: () => act("disarm"),
    [Symbol.dispose]: () => void deeds.push("close"),
  };
}

const keep = (required = false): WatchdogFeeder =>
  new WatchdogFeeder({ device: "/dev/watchdog0", required }, { open, health, clock, log: told.log, meter: told.meter });
const kicks = (): number => deeds.filter((deed) => deed === "kick").length;
const alarms = (): unknown[] => told.lines.flatMap(({ fields }) => fields.alarm ?? []);

test("it is kicked at once and each second", () => {
  using _keeper = keep();
  expect(kicks()).toBe(1);
  clock.advance(10_000);
  expect(kicks()).toBe(11);
  expect(told.count("watchdog_kicks")).toBe(11);
});

test("one that is impatient is kicked four times within its timeout", () => {
  timeoutS = 1;
  using _keeper = keep();
  clock.advance(1_000);
  expect(kicks()).toBe(5);
});

test("a part that is silent ends the kicks, which is said once with its name, and they go on when it speaks", () => {
  using _keeper = keep();
  const beat = health.part("store", 5_000);
  clock.advance(5_000);
  expect(kicks()).toBe(6);
  clock.advance(20_000);
  expect(kicks()).toBe(6);
  expect(told.count("watchdog_kicks_withheld")).toBe(20);
  expect(alarms()).toEqual(["watchdog_withheld"]);
  expect(told.lines.at(-1)?.fields.silent).toEqual([{ name: "store", silentMs: 6_000 }]);
  beat();
  clock.advance(1_000);
  expect(kicks()).toBe(7);
});

test("what must end in time ends the kicks when it does not, and not when it has", () => {
  using _keeper = keep();
  const opened = health.task("start", 3_000);
  clock.advance(3_000);
  opened();
  clock.advance(10_000);
  expect(kicks()).toBe(14);
  health.task("books", 3_000);
  clock.advance(10_000);
  expect(kicks()).toBe(17);
});

test("a device that is not there is an alarm, said once, and found when it comes", () => {
  isThere = false;
  using feeder = keep();
  clock.advance(60_000);
  expect(alarms()).toEqual(["watchdog_unavailable"]);
  expect(feeder.isArmed).toBe(false);
  isThere = true;
  clock.advance(10_000);
  expect(feeder.isArmed).toBe(true);
  expect(deeds.slice(0, 2)).toEqual(["open", "kick"]);
});

test("a device that goes away is closed, is an alarm, and is opened again", () => {
  using _keeper = keep();
  isThere = false;
  clock.advance(1_000);
  expect(deeds).toEqual(["open", "kick", "close"]);
  expect(told.count("alarms", { alarm: "watchdog_unavailable" })).toBe(1);
  isThere = true;
  clock.advance(10_000);
  expect(deeds).toEqual(["open", "kick", "close", "open", "kick"]);
});

test("a device that is required and not there ends the start", () => {
  isThere = false;
  expect(() => keep(true)).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
});

test("an orderly end disarms it, any other leaves it armed", () => {
  const orderly = keep();
  orderly.disarm();
  orderly[Symbol.dispose]();
  expect(deeds.splice(0)).toEqual(["open", "kick", "disarm"]);
  keep()[Symbol.dispose]();
  expect(deeds).toEqual(["open", "kick", "close"]);
});

test("a device that cannot be disarmed is closed, with a line in the log", () => {
  const feeder = keep();
  isThere = false;
  feeder.disarm();
  expect(deeds.at(-1)).toBe("close");
  expect(told.lines.at(-1)).toMatchObject({ level: "error", fields: { event: "watchdog_not_disarmed" } });
});

test("the gauge tells whether anything resets the machine", () => {
  const feeder = keep();
  const gauges: string[] = [];
  const read = (): void => watchdogGauges(feeder)((name, value) => void gauges.push(`${name} ${value}`));
  read();
  feeder.disarm();
  read();
  expect(gauges).toEqual(["watchdog_armed 1", "watchdog_armed 0"]);
});
