// The measured rate of a link: over how many blocks, and while none comes.

import { describe, expect, test } from "vitest";
import { ArrivalRate } from "../../../src/keys/links/arrival-rate.ts";

describe("the measured rate", () => {
  test("is unknown before two blocks have come, then the mean, and grows while none comes", () => {
    const rate = new ArrivalRate();
    rate.arrived(0);
    expect(rate.interval(10)).toBeUndefined();
    for (let at = 100; at <= 1000; at += 100) rate.arrived(at);
    expect(rate.interval(1000)).toBe(100);
    expect(rate.interval(11_000)).toBe(1000);
    expect(rate.last).toBe(1000);
  });

  test("counts the last arrivals only", () => {
    const rate = new ArrivalRate();
    for (let at = 0; at < 1000; at += 100) rate.arrived(at);
    for (let at = 1000; at < 1500; at += 10) rate.arrived(at);
    expect(rate.interval(1490)).toBe(10);
  });
});
