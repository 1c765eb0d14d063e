// What each application may take: rate and burst.

import fc from "fast-check";
import { expect, test } from "vitest";
import { appId } from "../../../src/core/ids.ts";
import { Quotas } from "../../../src/keys/common/quota.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const APP = appId("app");
const OTHER = appId("other");

function quotas(bitsPerS: number, burstBits: number): { clock: ManualClock; quotas: Quotas } {
  const clock = new ManualClock();
  return { clock, quotas: new Quotas(clock, () => ({ bitsPerS, burstBits })) };
}

test("the burst is free, then the rate decides, for each application apart", () => {
  const { clock, quotas: some } = quotas(100, 1000);
  expect(some.take(APP, 1000)).toBe(0);
  expect(some.take(APP, 50)).toBe(500);
  expect(some.take(OTHER, 1000)).toBe(0);
  clock.advance(499);
  expect(some.take(APP, 50)).toBeGreaterThan(0);
  clock.advance(2);
  expect(some.take(APP, 50)).toBe(0);
});

test("fractions of a bit that are rounded away do not refuse what was said to be enough", () => {
  const { clock, quotas: some } = quotas(4, 5000);
  for (const [bits, waitMs] of [
    [1266, 0],
    [1601, 88],
    [87, 54],
    [1536, 175],
  ] as const) {
    clock.advance(waitMs);
    expect(some.take(APP, bits)).toBe(0);
  }
  clock.advance(52);
  clock.advance(some.take(APP, 1561));
  expect(some.take(APP, 1561)).toBe(0);
});

test("a request above the burst never passes, and takes nothing", () => {
  const { quotas: some } = quotas(100, 1000);
  expect(some.take(APP, 1001)).toBe(Number.POSITIVE_INFINITY);
  expect(some.take(APP, 1000)).toBe(0);
});

test("what is given back is there again, and never beyond the burst", () => {
  const { quotas: some } = quotas(1, 100);
  some.take(APP, 100);
  some.refund(APP, 100);
  some.refund(APP, 100);
  expect(some.take(APP, 100)).toBe(0);
  expect(some.take(APP, 1)).toBe(1000);
});

test("the time told is enough, and over any time no more than rate and burst is taken", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.array(fc.record({ bits: fc.integer({ min: 1, max: 5000 }), waitMs: fc.nat(200) }), { maxLength: 60 }),
      (bitsPerS, steps) => {
        const { clock, quotas: some } = quotas(bitsPerS, 5000);
        let taken = 0;
        for (const { bits, waitMs } of steps) {
          clock.advance(waitMs);
          const ms = some.take(APP, bits);
          if (ms > 0) {
            clock.advance(ms);
            expect(some.take(APP, bits)).toBe(0);
          }
          taken += bits;
          expect(taken).toBeLessThanOrEqual(5000 + (clock.monotonicMs() * bitsPerS) / 1000 + 1e-6);
        }
      },
    ),
  );
});
