// Tests of src/control/health.ts: a part that falls silent is noticed, and when it speaks again.

import { expect, test } from "vitest";
import type { GaugeName } from "../../src/control/gauges.ts";
import { Health, healthGauges } from "../../src/control/health.ts";
import { ManualClock } from "../support/manual-clock.ts";

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
