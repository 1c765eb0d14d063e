// Tests of how a pad is gathered: lent whole, zero after, whatever happens while it is lent.

import { describe, expect, test } from "vitest";
import { withPad } from "../../../src/vault/memory/pads.ts";
import { keyOf } from "../harness.ts";

const memory = () => {
  const region = keyOf("region", 512);
  return { region, scratch: new Uint8Array(256), segments: [region.subarray(300, 333), region.subarray(7, 38)] };
};
const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

describe("a pad", () => {
  test("is lent in two parts, in the order of its segments; scratch and segments are zero after, nothing else", () => {
    const { region, scratch, segments } = memory();
    const before = Buffer.from(region);
    const lent = withPad(scratch, segments, 32, ({ tagKey, mask }) => Buffer.concat([tagKey, mask]));
    expect(lent).toEqual(Buffer.concat([before.subarray(300, 333), before.subarray(7, 38)]));
    expect([isZero(scratch), segments.every(isZero)]).toEqual([true, true]);
    before.fill(0, 300, 333).fill(0, 7, 38);
    expect(Buffer.from(region)).toEqual(before);
  });

  test("is zero when its use throws", () => {
    const { scratch, segments } = memory();
    const use = () => {
      throw new Error("no use");
    };
    expect(() => withPad(scratch, segments, 32, use)).toThrow("no use");
    expect([isZero(scratch), segments.every(isZero)]).toEqual([true, true]);
  });

  test("of another length or with an overlap is refused, and nothing has changed", () => {
    const { region, scratch, segments } = memory();
    const before = Buffer.from(region);
    const use = () => expect.unreachable("a pad was lent");
    expect(() => withPad(scratch, segments, 31, use)).toThrow("64 bytes where 63 are needed");
    expect(() => withPad(scratch, segments, 33, use)).toThrow(RangeError);
    const overlap = [region.subarray(100, 133), region.subarray(132, 163)];
    expect(() => withPad(scratch, overlap, 32, use)).toThrow("named twice");
    expect(() => withPad(scratch, overlap.toReversed(), 32, use)).toThrow("named twice");
    expect(Buffer.from(region)).toEqual(before);
  });

  test("with a zero word anywhere is refused and is zero", () => {
    for (let at = 0; at < 64; at += 8) {
      const { region, scratch } = memory();
      const segment = region.subarray(64, 128);
      segment.fill(0, at, at + 8);
      expect(() => withPad(scratch, [segment], 32, () => expect.unreachable("lent"))).toThrow("used before");
      expect([isZero(scratch), isZero(segment)]).toEqual([true, true]);
    }
  });
});
