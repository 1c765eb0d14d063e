// The waits between tries.

import { expect, it } from "vitest";
import { Backoff, LIVED_LONG_MS } from "../../src/net/backoff.ts";

it("design 10: the wait doubles from 0.2 s to 30 s", () => {
  const backoff = new Backoff(() => 1);
  const waits = Array.from({ length: 10 }, () => backoff.nextMs());
  expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
});

it("design 10: jitter takes up to half of it away", () => {
  const waits = [0, 0.5, 0.999].map((fraction) => new Backoff(() => fraction).nextMs());
  expect(waits).toEqual([100, 150, 199.9]);
});

it("design 10: waits for an end that cannot be reached, and after connections that end soon, grow each for itself", () => {
  const backoff = new Backoff(() => 1);
  const unreached = Array.from({ length: 4 }, () => backoff.nextMs());
  const waits = Array.from({ length: 3 }, () => {
    backoff.lived(0);
    return [backoff.nextMs(), backoff.nextMs()];
  });
  expect(unreached).toEqual([200, 400, 800, 1_600]);
  expect(waits).toEqual([
    [200, 200],
    [400, 200],
    [800, 200],
  ]);
});

it("design 10: it starts afresh after a connection that lived long, not after a short one", () => {
  const backoff = new Backoff(() => 1);
  const waits = [0, LIVED_LONG_MS - 1, LIVED_LONG_MS, 0].map((ms) => {
    backoff.lived(ms);
    return backoff.nextMs();
  });
  expect(waits).toEqual([200, 400, 200, 400]);
});
