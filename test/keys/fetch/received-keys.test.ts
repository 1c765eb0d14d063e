// What a destination holds of one source: ranges fetched once, serials accepted once.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import type { Context } from "../../../src/keys/common/context.ts";
import type { ReceivedRow } from "../../../src/keys/common/rows.ts";
import { emptyBitmap, ReceivedKey } from "../../../src/keys/fetch/received-key.ts";
import { ReceivedKeys } from "../../../src/keys/fetch/received-keys.ts";
import type { BlockId, KeyIdKey } from "../../../src/vault/vault.ts";

const ID_KEY: KeyIdKey = { tag: () => {}, [Symbol.dispose]: () => {} };

const rowOf = (length: number, fetched = emptyBitmap(length)): ReceivedRow => ({
  peer: kmId("km-a"),
  serial: 1,
  block: "link:ab:1:0" as BlockId,
  length,
  bornAt: 0,
  witness: 96,
  fetched,
});

/** Serials are kept without any port. */
const heldKeys = (): ReceivedKeys => new ReceivedKeys({} as Context, kmId("km-a"));

const LENGTH = 1024;
const range = fc
  .record({ step: fc.integer({ min: 0, max: 140 }), steps: fc.integer({ min: 1, max: 20 }) })
  .map(({ step, steps }) => ({ offset: step * 8, length: steps * 8 }));

describe("ranges of a KMA-key", () => {
  test("are taken exactly when a byte of them was fetched, or they are none of the key's", () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const key = new ReceivedKey(rowOf(LENGTH), ID_KEY);
        const taken = new Set<number>();
        for (const { offset, length } of ranges) {
          const bytes = Array.from({ length }, (_, index) => offset + index);
          const outside = offset < 96 || offset + length > LENGTH;
          expect(key.isTaken({ offset, length })).toBe(outside || bytes.some((at) => taken.has(at)));
          if (key.isTaken({ offset, length })) continue;
          const own = { offset, length };
          key.mark(own);
          key.settle(own);
          for (const at of bytes) taken.add(at);
        }
        expect(key.left).toBe(LENGTH - 96 - taken.size);
        const used = key.used().flatMap(({ offset, length }) => Array.from({ length }, (_, index) => offset + index));
        expect(new Set(used)).toEqual(new Set([...Array.from({ length: 96 }, (_, at) => at), ...taken]));
        const again = new ReceivedKey(rowOf(LENGTH, key.fetched), ID_KEY);
        expect([again.left, again.used()]).toEqual([key.left, key.used()]);
      }),
    );
  });

  test("in hand are marked but not used, and free again when they did not leave", () => {
    const key = new ReceivedKey(rowOf(LENGTH), ID_KEY);
    const [one, other] = [
      { offset: 96, length: 32 },
      { offset: 128, length: 32 },
    ];
    key.mark(one);
    key.mark(other);
    expect([key.pins, key.left, key.used()]).toEqual([2, LENGTH - 160, [{ offset: 0, length: 96 }]]);
    key.unmark(one);
    key.settle(other);
    expect([key.isTaken(one), key.isTaken(other), key.pins]).toEqual([false, true, 0]);
    expect(key.used()).toEqual([
      { offset: 0, length: 96 },
      { offset: 128, length: 32 },
    ]);
  });
});

describe("serials", () => {
  test("are accepted once each, in whatever order within the window", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 600 }), { maxLength: 300 }), (serials) => {
        const held = heldKeys();
        const seen = new Set<number>();
        for (const serial of serials) {
          const tooOld = serial <= held.accepted - 256;
          expect(held.isNew(serial)).toBe(!seen.has(serial) && !tooOld);
          if (!held.isNew(serial)) continue;
          held.accept(serial);
          seen.add(serial);
          const again = heldKeys();
          again.restoreAcceptance(held.acceptance());
          expect([again.isNew(serial), again.accepted]).toEqual([false, held.accepted]);
        }
        expect(held.acceptance().window.length).toBeLessThan(2000);
      }),
    );
  });

  test("up to one that was raised are accepted no more", () => {
    const held = heldKeys();
    held.accept(3);
    held.raise(10);
    expect(Array.from({ length: 12 }, (_, index) => held.isNew(index + 1))).toEqual([
      ...Array.from({ length: 10 }, () => false),
      true,
      true,
    ]);
    held.raise(5);
    expect(held.accepted).toBe(10);
  });

  test("that are expected are counted, until they are settled, and are new again if they were not accepted", () => {
    const held = heldKeys();
    held.expect(4);
    expect([held.expected, held.isExpected(4), held.isNew(4)]).toEqual([1, true, false]);
    held.settle(4);
    expect([held.expected, held.isExpected(4), held.isNew(4)]).toEqual([0, false, true]);
  });
});
