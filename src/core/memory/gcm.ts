// AES-256-GCM opened into memory of our own, without a plain byte in anybody else's.

import { createCipheriv, randomFillSync, timingSafeEqual } from "node:crypto";
import { forgetRegisters } from "./registers.ts";

const TAG_BYTES = 16;
/** The longest ciphertext. */
const MAX_BYTES = 65_536;

/** What is opened. */
export interface Sealed {
  /** 12 bytes. */
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  /** 64 KiB at most. */
  readonly ciphertext: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/**
 * Writes the plaintext to the front of `plain`. False, and that front zero, when key or tag is another.
 *
 * node:crypto returns plaintext in memory that it allocates, and leaves a copy of it behind in freed memory. So it
 * decrypts ciphertext under a one-time mask that only we hold, and sees the plaintext only as what it reads from
 * `plain` to compute the tag: what it returns and leaves behind is masked, or ciphertext.
 * @throws RangeError when `plain` is too short, or the ciphertext too long
 */
export function openGcm(key: Uint8Array, sealed: Sealed, plain: Uint8Array): boolean {
  const { iv, aad, ciphertext, tag } = sealed;
  if (plain.length < ciphertext.length) throw new RangeError("the plaintext does not fit its target");
  if (ciphertext.length > MAX_BYTES) throw new RangeError(`the ciphertext is longer than ${MAX_BYTES} bytes`);
  const target = plain.subarray(0, ciphertext.length);
  decrypt(key, { iv, ciphertext }, target);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(aad);
  cipher.update(target);
  cipher.final();
  forgetRegisters();
  if (tag.length === TAG_BYTES && timingSafeEqual(cipher.getAuthTag(), tag)) return true;
  target.fill(0);
  return false;
}

/** GCM without its tag is counter mode that begins at 2. */
function decrypt(key: Uint8Array, { iv, ciphertext }: Pick<Sealed, "iv" | "ciphertext">, target: Uint8Array): void {
  const counter = new Uint8Array(16);
  counter.set(iv);
  counter[15] = 2;
  const mask = nextMask(target.length);
  const masked = scratch.subarray(0, target.length);
  masked.set(ciphertext);
  xorInto(masked, mask);
  const cipher = createCipheriv("aes-256-ctr", key, counter);
  target.set(mask);
  xorInto(target, cipher.update(masked));
  cipher.final();
  mask.fill(0);
  // Beside the ciphertext, which others may have, it would tell the mask.
  masked.fill(0);
}

const scratch = Buffer.alloc(MAX_BYTES);
/** Random bytes that were not used yet, behind zeros. */
const masks = Buffer.alloc(MAX_BYTES);
let masksUsed = MAX_BYTES;

/** Random bytes that nobody has had; zero them after use. */
function nextMask(length: number): Uint8Array {
  if (masksUsed + length > MAX_BYTES) {
    randomFillSync(masks);
    masksUsed = 0;
  }
  const start = masksUsed;
  // The next one begins at a multiple of 4, for `xorInto`.
  masksUsed = start + ((length + 3) & ~3);
  return masks.subarray(start, start + length);
}

/** By words where both allow it. */
function xorInto(target: Uint8Array, other: Uint8Array): void {
  const { length } = target;
  const words = (target.byteOffset | other.byteOffset) % 4 === 0 ? length >>> 2 : 0;
  const to = new Uint32Array(target.buffer, words === 0 ? 0 : target.byteOffset, words);
  const from = new Uint32Array(other.buffer, words === 0 ? 0 : other.byteOffset, words);
  for (let at = 0; at < words; at++) to[at] = (to[at] ?? 0) ^ (from[at] ?? 0);
  for (let at = words * 4; at < length; at++) target[at] = (target[at] ?? 0) ^ (other[at] ?? 0);
}
