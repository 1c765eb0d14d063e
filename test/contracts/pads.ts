// What every vault must do with one-time pads, as tests: call it once per implementation.

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Masked, OpenBlock, PadPiece, Vault } from "../../src/vault/vault.ts";
import { BLOCK_BYTES, id, keep, keyOf, take } from "../vault/harness.ts";
import {
  bytesOf,
  CONTEXT,
  cutAt,
  flipped,
  forgetMemory,
  inHex,
  isZero,
  type JobBench,
  jobOf,
  keyIdTag,
  maskByHand,
  maskedWith,
  ofHex,
  padOf,
  the,
} from "./job-bench.ts";

export function exercisePads(name: string, makeBench: () => Promise<JobBench>): void {
  describe(`key-protocol 2, otp: a pad in a vault (${name})`, () => {
    let bench: JobBench;
    let vault: Vault;

    beforeEach(async () => {
      bench = await makeBench();
      vault = bench.vault;
    });
    afterEach(() => bench[Symbol.asyncDispose]());

    const opened = (names: readonly string[], emptySlots = 0) => vault.openJob(jobOf(names, emptySlots));

    test("masks a block and tags it as computed by hand, and is zero after", async () => {
      await keep(vault, "key", "pad-1", "pad-2");
      using job = await opened(["key", "pad-1", "pad-2"]);
      const [key, ...pads] = job.blocks;
      const pad = padOf(pads);
      const masked = the([key]).mask(pad, CONTEXT);
      expect(inHex(masked)).toEqual(maskByHand(keyOf("key"), bytesOf(pad)));
      expect(isZero(the(pads), { offset: 0, length: BLOCK_BYTES })).toBe(true);
      expect(isZero(the(pads, 1), { offset: 0, length: 32 })).toBe(true);
      expect(take(the(pads, 1), { offset: 32, length: 64 })).toEqual(Buffer.from(keyOf("pad-2").subarray(32, 96)));
      expect(take(the([key]))).toEqual(Buffer.from(keyOf("key")));
    });

    test("may be cut anywhere, begin anywhere, and lie in any order", async () => {
      await keep(vault, "key", "pad-1", "pad-2");
      const cuts = fc.uniqueArray(fc.integer({ min: 1, max: BLOCK_BYTES + 31 }), { maxLength: 5 });
      await fc.assert(
        fc.asyncProperty(cuts, fc.nat({ max: 200 }), async (unsorted, offset) => {
          const at = unsorted.toSorted((a, b) => a - b);
          await keep(vault, "pad-1", "pad-2");
          using job = await opened(["key", "pad-1", "pad-2"], 1);
          const [key, ...pads] = job.blocks;
          const pieces = cutAt(padOf(pads, BLOCK_BYTES, offset), at);
          expect(inHex(the([key]).mask(pieces, CONTEXT))).toEqual(maskByHand(keyOf("key"), bytesOf(pieces)));
          await keep(vault, "pad-1", "pad-2");
          using other = await opened(["pad-1", "pad-2"]);
          const turned = cutAt(padOf(other.blocks, BLOCK_BYTES, offset), at).toReversed();
          const travels = ofHex(maskByHand(keyOf("key"), bytesOf(turned)));
          const made = the(job.emptySlots).unmask(id("made"), travels, turned, CONTEXT);
          expect(made && take(made).equals(keyOf("key"))).toBe(true);
        }),
        { numRuns: 12 },
      );
    });

    test("unmasks what was masked with the same pad: length, tags, key-ID key and bytes are the block's", async () => {
      await keep(vault, "key", "pad", "rest");
      const masked = await maskedWith(vault, "key", ["pad", "rest"]);
      await keep(vault, "pad", "rest");
      using job = await opened(["key", "pad", "rest"], 1);
      const [key, ...pads] = job.blocks;
      const made = the(job.emptySlots).unmask(id("made"), masked, padOf(pads), CONTEXT);
      if (made === undefined) throw new Error("the tag fits");
      expect([made.block, made.length]).toEqual(["made", BLOCK_BYTES]);
      expect(made.endTag(CONTEXT)).toEqual(the([key]).endTag(CONTEXT));
      expect(made.hopTag(CONTEXT)).toEqual(the([key]).hopTag(CONTEXT));
      const tags = await Promise.all([made, the([key])].map(keyIdTag));
      expect(tags[0]).toBe(tags[1]);
      made.wipe({ offset: 96, length: 8 });
      expect(isZero(made, { offset: 96, length: 8 })).toBe(true);
      expect(take(made, { offset: 104, length: 3000 })).toEqual(Buffer.from(keyOf("key").subarray(104, 3104)));
    });

    test("with a bit changed in key, tag or context makes nothing and is zero all the same", async () => {
      await keep(vault, "key", "pad", "rest");
      const masked = await maskedWith(vault, "key", ["pad", "rest"]);
      const flips = [
        ...[0, 8 * 100 + 3, 8 * BLOCK_BYTES - 1].map((bit) => ({ ...masked, key: flipped(masked.key, bit) })),
        ...[0, 127].map((bit) => ({ ...masked, tag: flipped(masked.tag, bit) })),
        { ...masked, tag: masked.tag.subarray(0, 15) },
        { ...masked, context: flipped(CONTEXT, 9) },
      ];
      for (const { context = CONTEXT, ...changed } of flips as (Masked & { context?: Uint8Array })[]) {
        await keep(vault, "pad", "rest");
        using job = await opened(["pad", "rest", "key"], 1);
        const pad = padOf(job.blocks);
        expect(the(job.emptySlots).unmask(id("made"), changed, pad, context)).toBeUndefined();
        expect(pad.every(({ open, range }) => isZero(open, range))).toBe(true);
        // The slot is as empty as before.
        const made = the(job.emptySlots).combine(id("other"), [the(job.blocks, 2)]);
        expect(take(made)).toEqual(Buffer.from(keyOf("key")));
      }
    });

    test("of another length, out of bounds or named twice is refused, and nothing has changed", async () => {
      await keep(vault, "key", "pad", "rest");
      using job = await opened(["key", "pad", "rest"], 1);
      const [key, pad, rest] = [the(job.blocks), the(job.blocks, 1), the(job.blocks, 2)];
      const whole = { open: pad, range: { offset: 0, length: BLOCK_BYTES } };
      const piece = (offset: number, length: number) => ({ open: rest, range: { offset, length } });
      const wrong: PadPiece[][] = [
        [],
        [whole],
        [whole, piece(0, 31)],
        [whole, piece(0, 33)],
        [whole, piece(BLOCK_BYTES - 31, 32)],
        [whole, piece(-1, 32)],
        [whole, piece(0, 0), piece(0, 32)],
        [whole, { open: pad, range: { offset: 64, length: 32 } }],
        [piece(0, 17), piece(16, 15), whole],
      ];
      const masked = { key: keyOf("any"), tag: new Uint8Array(16) };
      for (const pads of wrong) {
        expect(() => key.mask(pads, CONTEXT)).toThrow(RangeError);
        expect(() => the(job.emptySlots).unmask(id("made"), masked, pads, CONTEXT)).toThrow(RangeError);
      }
      expect(() => key.mask([whole, { open: key, range: { offset: 0, length: 32 } }], CONTEXT)).toThrow(RangeError);
      expect(take(pad)).toEqual(Buffer.from(keyOf("pad")));
      expect(take(rest)).toEqual(Buffer.from(keyOf("rest")));
      expect(take(key)).toEqual(Buffer.from(keyOf("key")));
    });

    test("that was used before is an error, masks nothing and makes nothing", async () => {
      await keep(vault, "key", "pad", "rest");
      using job = await opened(["key", "pad", "rest"], 1);
      const [key, ...pads] = job.blocks;
      const pad = padOf(pads);
      const masked = the([key]).mask(pad, CONTEXT);
      expect(() => the([key]).mask(pad, CONTEXT)).toThrow("used before");
      expect(() => the(job.emptySlots).unmask(id("made"), masked, pad, CONTEXT)).toThrow("used before");
      // What a pad of zeros would accept: everybody knows this tag.
      const forged = { key: keyOf("forged"), tag: new Uint8Array(16) };
      expect(() => the(job.emptySlots).unmask(id("made"), forged, pad, CONTEXT)).toThrow("used before");
    });

    test("of which a part is told as used when it is brought in is an error too", async () => {
      await keep(vault, "key", "pad", "rest");
      const used = () => [{ offset: 0, length: 4000 }];
      const blocks = [{ block: id("key") }, { block: id("pad"), used }, { block: id("rest") }];
      using job = await vault.openJob({ blocks, emptySlots: 0 });
      const [pad, rest] = [the(job.blocks, 1), the(job.blocks, 2)];
      const pieces = [
        { open: pad, range: { offset: 3000, length: 1000 } },
        { open: rest, range: { offset: 0, length: BLOCK_BYTES - 968 } },
      ];
      expect(() => the(job.blocks).mask(pieces, CONTEXT)).toThrow("used before");
    });

    test("of another vault is none", async () => {
      await keep(vault, "key");
      using job = await opened(["key"], 1);
      const stranger = Object.create(null, { block: { value: id("x") }, length: { value: BLOCK_BYTES } }) as OpenBlock;
      expect(() => the(job.blocks).mask([{ open: stranger, range: { offset: 0, length: 32 } }], CONTEXT)).toThrow(
        TypeError,
      );
    });

    test("a rotation leaves of a pad block what is not used", async () => {
      await keep(vault, "pad");
      await vault.rotate(() => [{ offset: 0, length: 1001 }]);
      await forgetMemory(vault, "pad", bench.slots);
      using job = await opened(["pad"]);
      expect(isZero(the(job.blocks), { offset: 0, length: 1000 })).toBe(true);
      expect(take(the(job.blocks), { offset: 1001, length: 96 })).toEqual(
        Buffer.from(keyOf("pad").subarray(1001, 1097)),
      );
    });
  });
}
