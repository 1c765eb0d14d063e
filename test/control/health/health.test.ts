// Tests of src/control/health/health.ts: a part that falls silent is noticed, and when it speaks again.

import { expect, test } from "vitest";
import { Health, healthGauges } from "../../../src/control/health/health.ts";
import type { GaugeName } from "../../../src/control/metrics/gauges.ts";
import { ManualClock } from "../../support/manual-clock.ts";

test("is healthy as long as every part speaks in time", () => {
  const clock = new ManualClock();
  using health = new Health(clock);
  const beat = health.part("store", 1_000);
  clock.advance(900);
  beat();
  clock.advance(1_000);
  expect(health.read().healthy).toBe(true);
  clock.advance(1);
  expect(health.read()).toMatchObject({
    healthy: false,
    parts: [
      { name: "loop", healthy: true },
      { name: "store", healthy: false, silentMs: 1_001, withinMs: 1_000 },
    ],
  });
  beat();
  expect(health.read().healthy).toBe(true);
});

test("tells each part's silence as a gauge, and ends its timer at dispose", () => {
  const clock = new ManualClock();
  const health = new Health(clock);
  health.part("housekeeping", 1_000);
  clock.advance(1_500);
  const told: string[] = [];
  healthGauges(health)((name: GaugeName, value, labels = {}) => {
    told.push([name, ...Object.values(labels), value].join(" "));
  });
  expect(told).toContain("healthy 0");
  expect(told).toContain("part_silent_seconds housekeeping 1.5");
  health[Symbol.dispose]();
  expect(clock.waiting).toBe(0);
});

test("a part that rests need not speak, and has its whole time when it rests no more", () => {
  const clock = new ManualClock();
  using health = new Health(clock);
  let rests = true;
  health.part("books", 1_000, () => rests);
  clock.advance(10_000);
  expect(health.read().healthy).toBe(true);
  rests = false;
  clock.advance(1_000);
  expect(health.read().healthy).toBe(true);
  clock.advance(250);
  expect(health.read().healthy).toBe(false);
});

test("design 9: a part that has something to do and does not get on is silent; one that gets on, or has nothing to do, is not", () => {
  const clock = new ManualClock();
  using health = new Health(clock);
  let done: number | undefined;
  health.work("intake ab", 1_000, () => done);
  clock.advance(10_000);
  expect(health.read().healthy).toBe(true);
  for (done = 0; done < 20; done++) clock.advance(750);
  expect(health.read().healthy).toBe(true);
  clock.advance(1_500);
  expect(health.read()).toMatchObject({ healthy: false, parts: [{ name: "loop" }, { name: "intake ab" }] });
  done += 1;
  clock.advance(250);
  expect(health.read().healthy).toBe(true);
});
