// Frames in HID reports: what goes in comes out, or is known to be damaged, whatever happens to the reports.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { REPORT_BYTES, REPORT_DESCRIPTOR, REPORTS } from "../../../src/kq/framing/reports.ts";
import { MAX_FRAME_BYTES } from "../../../src/kq/limits.ts";

const MIN_FRAME_BYTES = 9;

function reportsOf(...frames: readonly Buffer[]): Buffer[] {
  const code = REPORTS.coder();
  return frames.flatMap((frame) => {
    const target = Buffer.alloc(REPORTS.maxBytes, 0xee);
    const end = code(frame, target, 0);
    const count = end / REPORT_BYTES;
    return Array.from({ length: count }, (_, at) => target.subarray(at * REPORT_BYTES, (at + 1) * REPORT_BYTES));
  });
}

function decoded(reports: readonly Buffer[]) {
  const frames: Buffer[] = [];
  let damaged = 0;
  const decoder = REPORTS.decoder(
    (frame) => frames.push(Buffer.from(frame)),
    () => damaged++,
  );
  for (const report of reports) decoder.push(report);
  return { frames, damaged };
}

const frame = (length: number, byte: number): Buffer => Buffer.alloc(length, byte);
/** Of 1, 4, 2, 1 and 3 reports. */
const FRAMES = [frame(9, 1), frame(200, 2), frame(124, 3), frame(62, 4), frame(125, 5)];

const frameBytes = fc.uint8Array({ minLength: MIN_FRAME_BYTES, maxLength: 400 }).map((bytes) => Buffer.from(bytes));
const isOneOf = (frames: readonly Buffer[]) => (found: Buffer) => frames.some((one) => one.equals(found));

test("a frame of one report, and one of three, lie as the manual says", () => {
  const [only] = reportsOf(Buffer.from("010203040506070809", "hex"));
  expect(only?.toString("hex")).toBe(`c900010203040506070809${"00".repeat(53)}`);
  const three = reportsOf(frame(125, 0xab)).map((report) => report.toString("hex"));
  expect(three).toEqual([`be00${"ab".repeat(62)}`, `3e01${"ab".repeat(62)}`, `4102ab${"00".repeat(61)}`]);
});

test("the descriptor has one report of 64 bytes each way, in a usage page of the vendor's own", () => {
  expect(Buffer.from(REPORT_DESCRIPTOR).toString("hex")).toBe(
    "0600ff0901a101150026ff007508954009028102" + "09039102c0",
  );
});

test("whatever is cut into reports comes out whole, over any number of turns of the number", () => {
  const property = fc.property(fc.array(frameBytes, { maxLength: 80 }), (frames) => {
    expect(decoded(reportsOf(...frames))).toEqual({ frames, damaged: 0 });
  });
  fc.assert(property, { numRuns: 50 });
});

test("the largest frame takes what is said, and one byte more is damaged", () => {
  const largest = frame(MAX_FRAME_BYTES, 7);
  expect(reportsOf(largest).length * REPORT_BYTES).toBe(REPORTS.maxBytes);
  expect(decoded(reportsOf(largest)).frames).toEqual([largest]);
  const code = REPORTS.coder();
  const target = Buffer.alloc(REPORTS.maxBytes + REPORT_BYTES);
  const overlong = target.subarray(0, code(frame(MAX_FRAME_BYTES + 60, 7), target, 0));
  const decoder = { frames: 0, damaged: 0 };
  const made = REPORTS.decoder(
    () => decoder.frames++,
    () => decoder.damaged++,
  );
  made.push(overlong);
  made.push(Buffer.concat(reportsOf(frame(9, 1))));
  expect(decoder).toEqual({ frames: 1, damaged: 2 });
});

describe("each report of five frames", () => {
  const whole = reportsOf(...FRAMES);
  const places = whole.map((_, at) => at);
  /** Which of the frames the report at `at` is of. */
  const ofFrame = (at: number) => whole.slice(0, at + 1).filter((report) => ((report[0] ?? 0) & 0x80) !== 0).length - 1;

  test.each(places)("%i, lost: its frame alone is missing, and the next report tells", (at) => {
    const { frames, damaged } = decoded(whole.toSpliced(at, 1));
    expect(frames).toEqual(FRAMES.toSpliced(ofFrame(at), 1));
    const first = at === 0;
    const last = at === whole.length - 1;
    expect(damaged).toBe(first || last ? 0 : 1);
  });

  test.each(places)("%i, twice: no frame is missing or wrong", (at) => {
    const { frames, damaged } = decoded(whole.toSpliced(at, 0, whole[at] ?? Buffer.alloc(0)));
    expect(frames.filter((one, index) => !frames[index - 1]?.equals(one))).toEqual(FRAMES);
    expect(damaged).toBe(0);
  });

  test.each(places)("%i, cut: its frame alone is missing, and it is told", (at) => {
    for (const length of [1, 2, 30, 63]) {
      const cut = whole.with(at, (whole[at] ?? Buffer.alloc(0)).subarray(0, length));
      const { frames, damaged } = decoded(cut);
      expect(frames).toEqual(FRAMES.toSpliced(ofFrame(at), 1));
      expect(damaged).toBeGreaterThan(0);
    }
  });

  test.each(places)("%i, of no length or too long: its frame alone is missing, and it is told", (at) => {
    for (const length of [0, 63]) {
      const wrong = Buffer.from(whole[at] ?? []);
      wrong[0] = ((wrong[0] ?? 0) & 0xc0) | length;
      const { frames, damaged } = decoded(whole.with(at, wrong));
      expect(frames).toEqual(FRAMES.toSpliced(ofFrame(at), 1));
      expect(damaged).toBeGreaterThan(0);
    }
  });
});

test("reports of a frame that began before the line did are passed over in silence", () => {
  expect(decoded(reportsOf(frame(200, 1), frame(9, 2)).slice(2))).toEqual({ frames: [frame(9, 2)], damaged: 0 });
});

test("a frame shorter than header and check is damaged", () => {
  expect(decoded(reportsOf(frame(MIN_FRAME_BYTES - 1, 1)))).toEqual({ frames: [], damaged: 1 });
});

test("reports lost, repeated and cut at random give no frame that was not sent", () => {
  const fate = fc.array(fc.constantFrom("kept", "kept", "kept", "kept", "lost", "twice", "cut"), {
    minLength: 1,
    maxLength: 50,
  });
  const property = fc.property(fc.array(frameBytes, { maxLength: 30 }), fate, (frames, fates) => {
    const hurt = reportsOf(...frames).flatMap((report, at) => {
      const what = fates[at % fates.length];
      if (what === "lost") return [];
      if (what === "twice") return [report, report];
      return what === "cut" ? [report.subarray(0, 40)] : [report];
    });
    expect(decoded(hurt).frames.every(isOneOf(frames))).toBe(true);
  });
  fc.assert(property, { numRuns: 100 });
});

test("after a reset a frame that was begun is forgotten, and no byte of it is lent again", () => {
  const frames: Buffer[] = [];
  const decoder = REPORTS.decoder(
    (found) => frames.push(Buffer.from(found)),
    () => {},
  );
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = reportsOf(frame(100, 9));
  decoder.push(first);
  decoder.reset();
  decoder.push(second);
  decoder.push(Buffer.concat(reportsOf(frame(70, 1))));
  expect(frames).toEqual([frame(70, 1)]);
});
