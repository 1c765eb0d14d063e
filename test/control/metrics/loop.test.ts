// Tests of src/control/metrics/loop.ts: a loop that is held is seen.

import { expect, it } from "vitest";
import type { GaugeName } from "../../../src/control/metrics/gauges.ts";
import { measureLoop, processGauges } from "../../../src/control/metrics/loop.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { until } from "../../support/until.ts";

function holdLoop(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it("sees a loop that was held, until a whole window has passed without", async () => {
  const clock = new ManualClock();
  using loop = measureLoop(clock, 1000);
  await until("the delay is measured", () => {
    // What is held begins anywhere between two looks, and counts from when the next one was due: 25 ms less at worst.
    holdLoop(200);
    return loop.read().maxMs >= 100;
  });
  clock.advance(1000);
  expect(loop.read().maxMs).toBeGreaterThanOrEqual(100);
  clock.advance(1000);
  expect(loop.read().maxMs).toBeLessThan(100);
  expect(clock.waiting).toBe(1);
});

it("ends its timer at dispose", () => {
  const clock = new ManualClock();
  measureLoop(clock)[Symbol.dispose]();
  expect(clock.waiting).toBe(0);
});

it("tells delays in seconds and memory in bytes", () => {
  const told = new Map<string, number>();
  const set = (name: GaugeName, value: number, labels: object = {}) =>
    void told.set([name, ...Object.values(labels)].join(" "), value);
  const loop = { read: () => ({ p50Ms: 1, p99Ms: 20, maxMs: 300 }), [Symbol.dispose]() {} };
  processGauges(loop)(set);
  expect(told.get("loop_delay_seconds 0.5")).toBe(0.001);
  expect(told.get("loop_delay_seconds 0.99")).toBe(0.02);
  expect(told.get("loop_delay_seconds 1")).toBe(0.3);
  expect(told.get("resident_memory_bytes")).toBeGreaterThan(10_000_000);
});
