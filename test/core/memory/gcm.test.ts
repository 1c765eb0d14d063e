// AES-256-GCM against node:crypto's own, and what happens when anything is wrong.

import { createCipheriv } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openGcm, type Sealed } from "../../../src/core/memory/gcm.ts";
import { drawBytes } from "../../support/seed.ts";

const KEY = drawBytes(32);

function seal(plain: Uint8Array, key = KEY): Sealed {
  const [iv, aad] = [drawBytes(12), drawBytes(7)];
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(aad);
  const ciphertext = cipher.update(plain);
  cipher.final();
  return { iv, aad, ciphertext, tag: cipher.getAuthTag() };
}

/** A view that begins `shift` bytes behind a multiple of 8. */
function shifted(bytes: Uint8Array, shift: number): Uint8Array {
  const view = new Uint8Array(new ArrayBuffer(bytes.length + 8), shift, bytes.length);
  view.set(bytes);
  return view;
}

test("opens what node:crypto sealed, of any length and wherever it lies in memory", () => {
  const place = fc.integer({ min: 0, max: 7 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), place, place, (plain, from, to) => {
      const sealed = seal(plain);
      const target = shifted(new Uint8Array(plain.length + 3).fill(9), to);
      expect(openGcm(KEY, { ...sealed, ciphertext: shifted(sealed.ciphertext, from) }, target)).toBe(true);
      expect(Buffer.from(target)).toEqual(Buffer.concat([plain, Buffer.alloc(3, 9)]));
    }),
  );
});

test("opens 32 KiB and leaves the ciphertext as it was", () => {
  const plain = drawBytes(32_768);
  const sealed = seal(plain);
  const before = Buffer.from(sealed.ciphertext);
  const target = Buffer.alloc(32_784);
  expect(openGcm(KEY, sealed, target)).toBe(true);
  expect(target.subarray(0, 32_768)).toEqual(plain);
  expect(sealed.ciphertext).toEqual(before);
});

const flipped = (bytes: Uint8Array): Uint8Array => bytes.map((byte, index) => (index === 3 ? byte ^ 1 : byte));

test.each([
  ["the ciphertext", (sealed: Sealed) => ({ ...sealed, ciphertext: flipped(sealed.ciphertext) })],
  ["the tag", (sealed: Sealed) => ({ ...sealed, tag: flipped(sealed.tag) })],
  ["the iv", (sealed: Sealed) => ({ ...sealed, iv: flipped(sealed.iv) })],
  ["the AAD", (sealed: Sealed) => ({ ...sealed, aad: flipped(sealed.aad) })],
  ["a tag cut short", (sealed: Sealed) => ({ ...sealed, tag: sealed.tag.subarray(0, 12) })],
])("a change of %s is noticed, and the target is zero", (_what, change) => {
  const target = Buffer.alloc(120, 7);
  expect(openGcm(KEY, change(seal(drawBytes(100))), target)).toBe(false);
  expect(target).toEqual(Buffer.concat([Buffer.alloc(100), Buffer.alloc(20, 7)]));
});

test("another key opens nothing", () => {
  const target = Buffer.alloc(100, 7);
  expect(openGcm(KEY, seal(drawBytes(100), drawBytes(32)), target)).toBe(false);
  expect(target).toEqual(Buffer.alloc(100));
});

test("many pieces of odd lengths, one after the other, all open", () => {
  const target = Buffer.alloc(5_000);
  for (let length = 1; length < 5_000; length += 97) {
    const plain = drawBytes(length);
    expect(openGcm(KEY, seal(plain), target)).toBe(true);
    expect(target.subarray(0, length).equals(plain)).toBe(true);
  }
});

test("a ciphertext longer than 64 KiB is refused", () => {
  expect(openGcm(KEY, seal(drawBytes(65_536)), Buffer.alloc(65_536))).toBe(true);
  expect(() => openGcm(KEY, seal(drawBytes(65_537)), Buffer.alloc(70_000))).toThrow(RangeError);
});

test("a target that is too short is refused untouched", () => {
  const target = Buffer.alloc(99, 7);
  expect(() => openGcm(KEY, seal(drawBytes(100)), target)).toThrow(RangeError);
  expect(target).toEqual(Buffer.alloc(99, 7));
});
