// Base64 (RFC 4648 4, padded) between byte ranges, with no string on the way.

import { Fault } from "../core/fault.ts";

const ALPHABET = Uint8Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (letter) =>
  letter.charCodeAt(0),
);
const PAD = 0x3d;
const NONE = 0xff;
const VALUES = valuesOf(ALPHABET);

function valuesOf(alphabet: Uint8Array): Uint8Array {
  const values = new Uint8Array(256).fill(NONE);
  for (const [value, letter] of alphabet.entries()) values[letter] = value;
  return values;
}

/** Letters that `bytes` bytes take, padding included. */
export const base64Length = (bytes: number): number => Math.ceil(bytes / 3) * 4;

/**
 * Writes bytes `start` to `end` of `source` as base64 at `at`, and returns the position behind it.
 * @throws RangeError when the range is not in the source or its base64 not in the target
 */
export function encodeBase64(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  if (!(start >= 0 && start <= end && end <= source.length)) throw new RangeError("the range is not in the source");
  const stop = at + base64Length(end - start);
  if (!(at >= 0 && stop <= target.length)) throw new RangeError("the base64 does not fit the target");
  let to = at;
  for (let from = start; from < end; from += 3) {
    const left = end - from;
    const group = (byteAt(source, from) << 16) | (left > 1 ? byteAt(source, from + 1) << 8 : 0);
    const bits = left > 2 ? group | byteAt(source, from + 2) : group;
    target[to] = byteAt(ALPHABET, bits >> 18);
    target[to + 1] = byteAt(ALPHABET, (bits >> 12) & 63);
    target[to + 2] = left > 1 ? byteAt(ALPHABET, (bits >> 6) & 63) : PAD;
    target[to + 3] = left > 2 ? byteAt(ALPHABET, bits & 63) : PAD;
    to += 4;
  }
  return stop;
}

/**
 * Writes what `source` stands for to the front of `target`, and returns its number of bytes.
 * Strict: padding in full, no other letters, no bits set behind the last byte. After an error nothing is left in the target.
 * @throws Fault MALFORMED_REQUEST; RangeError when the target is too small
 */
export function decodeBase64(source: Uint8Array, target: Uint8Array): number {
  const bytes = decodedLength(source);
  if (bytes > target.length) throw new RangeError("the bytes do not fit the target");
  let to = 0;
  for (let from = 0; from < source.length; from += 4) {
    const wanted = Math.min(3, bytes - to);
    const bits = groupAt(source, from, wanted);
    const excess = bits & (0xffffff >> (8 * wanted));
    if (bits < 0 || excess !== 0) {
      target.fill(0, 0, to);
      throw malformed();
    }
    for (let index = 0; index < wanted; index += 1) target[to + index] = bits >> (16 - 8 * index);
    to += wanted;
  }
  return bytes;
}

const byteAt = (bytes: Uint8Array, index: number): number => bytes[index] ?? 0;

const malformed = () => new Fault("MALFORMED_REQUEST", { text: "a value is not base64 (RFC 4648 4, padded)" });

/** @throws Fault MALFORMED_REQUEST */
function decodedLength(source: Uint8Array): number {
  const { length } = source;
  if (length % 4 !== 0) throw malformed();
  const pads = length > 0 && source[length - 1] === PAD ? (source[length - 2] === PAD ? 2 : 1) : 0;
  return (length / 4) * 3 - pads;
}

/** The 24 bits of the group at `from` that holds `wanted` bytes; negative when a letter is none. */
function groupAt(source: Uint8Array, from: number, wanted: number): number {
  let bits = 0;
  for (let index = 0; index < 4; index += 1) {
    const value = index <= wanted ? byteAt(VALUES, byteAt(source, from + index)) : 0;
    if (value === NONE) return -1;
    bits = (bits << 6) | value;
  }
  return bits;
}
