// AES-256-GCM opened into memory of our own, without a plain byte in anybody else's.

import { createCipheriv, randomFillSync, timingSafeEqual } from "node:crypto";

const TAG_BYTES = 16;

/** What is opened. */
export interface Sealed {
  /** 12 bytes. */
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/**
 * Writes the plaintext to the front of `plain`. False, and that front zero, when key or tag is another.
 *
 * node:crypto returns plaintext in memory that it allocates, and leaves a copy of it behind in freed memory. So it
 * decrypts ciphertext under a one-time mask that only `plain` holds, and sees the plaintext only as what it reads from
 * `plain` to compute the tag: what it returns and leaves behind is masked, or ciphertext.
 * @throws RangeError when `plain` is too short
 */
export function openGcm(key: Uint8Array, sealed: Sealed, plain: Uint8Array): boolean {
  const { iv, aad, ciphertext, tag } = sealed;
  if (plain.length < ciphertext.length) throw new RangeError("the plaintext does not fit its target");
  const target = plain.subarray(0, ciphertext.length);
  unmasked(key, { iv, ciphertext }, target);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(aad);
  cipher.update(target);
  cipher.final();
  if (tag.length === TAG_BYTES && timingSafeEqual(cipher.getAuthTag(), tag)) return true;
  target.fill(0);
  return false;
}

/** GCM without its tag is counter mode that begins at 2. */
function unmasked(key: Uint8Array, { iv, ciphertext }: Pick<Sealed, "iv" | "ciphertext">, target: Uint8Array): void {
  const counter = new Uint8Array(16);
  counter.set(iv);
  counter[15] = 2;
  const masked = Buffer.alloc(ciphertext.length);
  masked.set(ciphertext);
  randomFillSync(target);
  xorInto(masked, target);
  const cipher = createCipheriv("aes-256-ctr", key, counter);
  xorInto(target, cipher.update(masked));
  cipher.final();
  // Beside the ciphertext, which others may have, it would tell the mask.
  masked.fill(0);
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
