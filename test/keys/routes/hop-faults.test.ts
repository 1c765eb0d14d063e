// Hops that failed: left alone for a second, then twice as long each time, each reason for itself.

import { expect, test } from "vitest";
import { type KmId, kmId } from "../../../src/core/ids.ts";
import { HopFaults } from "../../../src/keys/routes/hop-faults.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const [A, B, C] = ["km-a", "km-b", "km-c"].map(kmId) as [KmId, KmId, KmId];

test("design 5: a hop rests for 1 s, doubling to 60 s, and is free in between", () => {
  const clock = new ManualClock();
  let freed = 0;
  const faults = new HopFaults(clock, () => freed++);
  const rests: number[] = [];
  for (let round = 0; round < 8; round++) {
    faults.note(A, B, "STORE_FULL");
    const from = clock.monotonicMs();
    while (faults.isResting(A, B)) clock.advance(500);
    rests.push(clock.monotonicMs() - from);
  }
  expect(rests).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  expect(freed).toBe(8);
});

test("where the next relay may well do, the first rests are short", () => {
  const clock = new ManualClock();
  const faults = new HopFaults(clock, () => {});
  const rests: number[] = [];
  for (let round = 0; round < 11; round++) {
    faults.note(A, B, "BLOCK_NOT_HELD", "soon");
    const from = clock.monotonicMs();
    while (faults.isResting(A, B)) clock.advance(100);
    rests.push(clock.monotonicMs() - from);
  }
  expect(rests).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000]);
});

test("several faults at a time count once, other hops and reasons for themselves", () => {
  const clock = new ManualClock();
  const faults = new HopFaults(clock, () => {});
  for (let time = 0; time < 5; time++) faults.note(A, B, "RELAY_TIMEOUT");
  clock.advance(1000);
  expect([faults.isResting(A, B), faults.isResting(B, A), faults.resting]).toEqual([false, false, ""]);
  expect([faults.isDoubtful(A, B), faults.isDoubtful(B, A)]).toEqual([true, false]);
  faults.note(A, B, "BUSY");
  faults.note(B, C, "BUSY");
  clock.advance(999);
  expect([faults.isResting(A, B), faults.isResting(B, C)]).toEqual([true, true]);
});

test("a relay that gets over it, a new connection, and the end forget it", () => {
  const clock = new ManualClock();
  const faults = new HopFaults(clock, () => {});
  faults.note(A, B, "BUSY");
  faults.passed(A, B);
  expect([faults.isResting(A, B), faults.isDoubtful(A, B)]).toEqual([false, false]);
  faults.note(A, B, "BUSY");
  faults.note(B, C, "BUSY");
  faults.clear(A);
  expect([faults.isResting(A, B), faults.isResting(B, C)]).toEqual([false, true]);
  faults.stop();
  faults.note(A, B, "BUSY");
  expect([faults.resting, clock.waiting]).toEqual(["", 0]);
});

test("they are bounded: the oldest are forgotten", () => {
  const clock = new ManualClock();
  const faults = new HopFaults(clock, () => {});
  for (let hop = 0; hop < 2000; hop++) faults.note(A, kmId(`km-${hop}`), "BUSY");
  expect(clock.waiting).toBe(1024);
  expect([faults.isResting(A, kmId("km-0")), faults.isResting(A, kmId("km-1999"))]).toEqual([false, true]);
});
