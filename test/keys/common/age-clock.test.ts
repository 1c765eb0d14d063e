// The age of keys: monotonic, saved, moved on by the time switched off, never back.

import { expect, test } from "vitest";
import { AgeClock } from "../../../src/keys/common/age-clock.ts";
import { ManualClock } from "../../support/manual-clock.ts";

test("begins at 0 and runs with the monotonic clock, whatever the wall says", () => {
  const clock = new ManualClock(5000);
  const ages = new AgeClock(clock, undefined);
  expect([ages.now(), ages.wentBack]).toEqual([0, false]);
  clock.advance(100);
  clock.jump(-1_000_000);
  expect(ages.now()).toBe(100);
});

test("goes on where it was saved, plus the time switched off", () => {
  const before = new ManualClock(0, 1_000_000);
  const first = new AgeClock(before, undefined);
  before.advance(700);
  const after = new ManualClock(99, 1_000_700 + 5000);
  const again = new AgeClock(after, first.saved());
  expect(again.now()).toBe(5700);
  expect(again.nowOn()).toBe(700);
});

test("takes the age in a store of an earlier version for the time that it was on, too", () => {
  const again = new AgeClock(new ManualClock(7, 1_000_700), { ageMs: 300, wallMs: 1_000_000 });
  expect([again.now(), again.nowOn()]).toEqual([1000, 300]);
});

test("does not go back with a wall clock that did, and says so", () => {
  const saved = { ageMs: 700, wallMs: 1_000_000, onMs: 700 };
  const back = new AgeClock(new ManualClock(0, 999_999), saved);
  expect([back.now(), back.wentBack]).toEqual([700, true]);
  const same = new AgeClock(new ManualClock(0, 1_000_000), saved);
  expect([same.now(), same.wentBack]).toEqual([700, false]);
});
