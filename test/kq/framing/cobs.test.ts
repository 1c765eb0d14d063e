// COBS and the deframer: what goes in comes out, whatever the line makes of it.

import fc from "fast-check";
import { expect, test } from "vitest";
import { codedBytes, Deframer, decodeCobs, encodeCobs } from "../../../src/kq/framing/cobs.ts";
import { MAX_CODED_BYTES, MAX_FRAME_BYTES } from "../../../src/kq/limits.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const run = (first: number, count: number) => Buffer.from(Array.from({ length: count }, (_, i) => (first + i) & 255));

function coded(plain: Buffer): Buffer {
  const target = Buffer.alloc(codedBytes(plain.length) + 1);
  return target.subarray(0, encodeCobs(plain, target, 0));
}

test.each([
  ["00", "01 01 00"],
  ["00 00", "01 01 01 00"],
  ["11 22 00 33", "03 11 22 02 33 00"],
  ["11 22 33 44", "05 11 22 33 44 00"],
  ["11 00 00 00", "02 11 01 01 01 00"],
])("%s is coded as %s", (plain, line) => {
  expect(coded(hex(plain))).toEqual(hex(line));
});

test.each([
  ["254 bytes without a zero", run(1, 254), Buffer.concat([hex("ff"), run(1, 254), hex("00")])],
  ["a zero before them", run(0, 255), Buffer.concat([hex("01 ff"), run(1, 254), hex("00")])],
  ["one more", run(1, 255), Buffer.concat([hex("ff"), run(1, 254), hex("02 ff 00")])],
  ["a zero behind them", run(2, 255), Buffer.concat([hex("ff"), run(2, 254), hex("01 01 00")])],
])("the longest group: %s", (_what, plain, line) => {
  expect(coded(plain)).toEqual(line);
});

const bytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(600).map((n) => new Uint8Array(n).fill(7)),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts).subarray(0, MAX_FRAME_BYTES));

test("whatever is coded has no zero but the last, and is decoded to itself", () => {
  const target = Buffer.alloc(MAX_FRAME_BYTES);
  const property = fc.property(bytes, (plain) => {
    const line = coded(plain);
    expect(line.indexOf(0)).toBe(line.length - 1);
    const length = decodeCobs(line.subarray(0, -1), target);
    expect(target.subarray(0, length).equals(plain)).toBe(true);
  });
  fc.assert(property, { numRuns: 300 });
});

test("the largest frame fits its buffers, and one byte more does not", () => {
  const target = Buffer.alloc(MAX_FRAME_BYTES);
  const largest = coded(Buffer.alloc(MAX_FRAME_BYTES, 7)).subarray(0, -1);
  expect(largest.length).toBeLessThanOrEqual(MAX_CODED_BYTES);
  expect(decodeCobs(largest, target)).toBe(MAX_FRAME_BYTES);
  expect(decodeCobs(coded(Buffer.alloc(MAX_FRAME_BYTES + 1, 7)).subarray(0, -1), target)).toBe(-1);
});

test("random bytes never overrun the target", () => {
  const target = Buffer.alloc(64);
  const property = fc.property(fc.uint8Array({ maxLength: 200 }), (line) => {
    expect(decodeCobs(Buffer.from(line), target)).toBeLessThanOrEqual(64);
  });
  fc.assert(property);
});

test("frames come out whole, however they are chopped; what is too long or too short is damage", () => {
  const size = fc.integer({ min: 1, max: 5_000 });
  const frames = fc.array(bytes, { maxLength: 6 });
  const property = fc.property(frames, size, (plains, chop) => {
    const whole: Buffer[] = [];
    let damaged = 0;
    const deframer = new Deframer(
      (frame) => whole.push(Buffer.from(frame)),
      () => damaged++,
    );
    const tooLong = Buffer.alloc(6_000, 9);
    const line = Buffer.concat([...plains.map(coded), tooLong, hex("00 00"), coded(hex("0102"))]);
    for (let at = 0; at < line.length; at += chop) deframer.push(Buffer.from(line.subarray(at, at + chop)));
    expect(whole).toEqual(plains.filter((plain) => plain.length >= 9));
    expect(damaged).toBe(2 + plains.filter((plain) => plain.length < 9).length);
  });
  fc.assert(property, { numRuns: 50 });
});

test("nothing stays behind: a frame is zero when its handler has returned", () => {
  const views: Buffer[] = [];
  const deframer = new Deframer(
    (frame) => views.push(frame),
    () => {},
  );
  deframer.push(coded(run(1, 200)));
  deframer.push(coded(run(1, 100)).subarray(0, 50));
  deframer.push(coded(run(1, 100)).subarray(50));
  expect(views.map((view) => view.length)).toEqual([200, 100]);
  expect(views.every((view) => view.every((byte) => byte === 0))).toBe(true);
});
