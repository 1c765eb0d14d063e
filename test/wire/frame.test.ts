// Frames: whole, chopped at every size, cut at every byte, and random.

import fc from "fast-check";
import { expect, test } from "vitest";
import { BufferPool } from "../../src/wire/buffer-pool.ts";
import { encodeFrame, FrameError, FrameReader, HEADER_BYTES, MAX_PAYLOAD_BYTES } from "../../src/wire/frame.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

/** What a reader says of these chunks: `messageId:code:payload` for each frame. */
function read(chunks: readonly Uint8Array[], pool = new BufferPool(1)): string[] {
  const frames: string[] = [];
  const reader = new FrameReader(pool);
  for (const chunk of chunks) {
    reader.push(chunk, ({ messageId, code, payload }) => frames.push(`${messageId}:${code}:${hex(payload)}`));
  }
  reader.dispose();
  return frames;
}

const chop = (whole: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(whole.length / size) }, (_, index) =>
    whole.subarray(index * size, (index + 1) * size),
  );

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof FrameError) return thrown.reason;
    throw thrown;
  }
  return "none";
}

const THREE = Buffer.concat([
  encodeFrame(0x2101, 7, Buffer.from("{}")),
  encodeFrame(0x2102, 0xffff_ffff, Buffer.alloc(0)),
  encodeFrame(0x1203, 0x8000_0000, Buffer.alloc(300, 0xab)),
]);
const THREE_READ = [`7:8449:7b7d`, `4294967295:8450:`, `2147483648:4611:${"ab".repeat(300)}`];

test("appendix I: a frame is version, message ID, code, length in network byte order, and the payload", () => {
  expect(hex(encodeFrame(0x2101, 0x01020304, Buffer.from("{}")))).toBe("000101020304210100027b7d");
  expect(read([bytes("0001 01020304 2101 0002 7b7d")])).toEqual(["16909060:8449:7b7d"]);
});

test("frames come out the same whole and chopped at every size", () => {
  expect(read([THREE])).toEqual(THREE_READ);
  for (let size = 1; size <= THREE.length; size++) expect(read(chop(THREE, size))).toEqual(THREE_READ);
});

test("frames cut at every byte give only those that are whole, and the buffer goes back", () => {
  const ends = [12, 22, THREE.length];
  for (let cut = 0; cut <= THREE.length; cut++) {
    const pool = new BufferPool(1);
    expect(read([THREE.subarray(0, cut)], pool)).toEqual(THREE_READ.slice(0, ends.filter((end) => end <= cut).length));
    expect(pool.lent).toBe(0);
  }
});

test("random frames in random chunks come out in order", () => {
  const frame = fc.record({
    code: fc.integer({ min: 0, max: 0xffff }),
    messageId: fc.integer({ min: 0, max: 0xffff_ffff }),
    payload: fc.uint8Array({ maxLength: 700 }),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 400 })), (frames, sizes) => {
      const whole = Buffer.concat(frames.map((each) => encodeFrame(each.code, each.messageId, each.payload)));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const size of [...sizes, whole.length]) {
        chunks.push(whole.subarray(at, at + size));
        at += size;
      }
      expect(read(chunks)).toEqual(frames.map((each) => `${each.messageId}:${each.code}:${hex(each.payload)}`));
    }),
  );
});

test("random bytes give frames or a FrameError, never another error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      expect(["none", "version"]).toContain(refusal(() => read([noise])));
    }),
  );
});

test("a frame that lies whole in a chunk is a view of it, and one that straddles is gathered", () => {
  const views: boolean[] = [];
  const reader = new FrameReader(new BufferPool(1));
  const note = (frame: { payload: Uint8Array }): void => {
    views.push(frame.payload.buffer === chunk.buffer);
  };
  const chunk = Uint8Array.from(THREE);
  reader.push(chunk.subarray(0, 40), note);
  reader.push(chunk.subarray(40), note);
  expect(views).toEqual([true, true, false]);
});

test("a longest frame passes in single bytes at its edges", () => {
  const longest = encodeFrame(1, 2, Buffer.alloc(MAX_PAYLOAD_BYTES, 0x20));
  const pieces = [longest.subarray(0, 9), longest.subarray(9, 10), longest.subarray(10, -1), longest.subarray(-1)];
  expect(read(pieces)).toEqual([`2:1:${"20".repeat(MAX_PAYLOAD_BYTES)}`]);
});

test("an over-long frame is refused by its header, before its body arrives", () => {
  const header = encodeFrame(0x2101, 1, Buffer.alloc(101)).subarray(0, HEADER_BYTES);
  const reader = new FrameReader(new BufferPool(1), HEADER_BYTES + 100);
  expect(refusal(() => reader.push(header, () => {}))).toBe("over_long");
  const chopped = new FrameReader(new BufferPool(1), HEADER_BYTES + 100);
  chopped.push(header.subarray(0, 9), () => {});
  expect(refusal(() => chopped.push(header.subarray(9), () => {}))).toBe("over_long");
});

test("an unknown version is refused, also in the second frame of a chunk", () => {
  expect(refusal(() => read([bytes("0002 00000001 2101 0000")]))).toBe("version");
  expect(refusal(() => read([Buffer.concat([THREE, bytes("0101 00000001 2101 0000")])]))).toBe("version");
});

test("no assembly buffer left is a refusal, and a disposed reader gives its own back zeroed", () => {
  const pool = new BufferPool(1, 64);
  const first = new FrameReader(pool, 64);
  first.push(Buffer.from([0, 1, 0xff]), () => {});
  expect(refusal(() => new FrameReader(pool, 64).push(Buffer.from([0]), () => {}))).toBe("no_buffer");
  first.dispose();
  expect(pool.take()).toEqual(new Uint8Array(64));
});

test("what does not fit a header's fields is not encoded", () => {
  expect(() => encodeFrame(1, 1, Buffer.alloc(MAX_PAYLOAD_BYTES + 1))).toThrow(RangeError);
  for (const messageId of [-1, 1.5, 2 ** 32])
    expect(() => encodeFrame(1, messageId, Buffer.alloc(0))).toThrow(RangeError);
});
