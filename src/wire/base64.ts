// Base64 (RFC 4648 4, padded) between byte ranges, with no string on the way.

import { Fault } from "../core/fault.ts";

const ALPHABET = Uint8Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (letter) =>
  letter.charCodeAt(0),
);
const PAD = 0x3d;
/** Negative, however far it is shifted. */
const NONE = -1;
const VALUES = valuesOf(ALPHABET);

function valuesOf(alphabet: Uint8Array): Int8Array {
  const values = new Int8Array(256).fill(NONE);
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
  const whole = Math.floor(bytes / 3);
  const isRight = decodeGroups(source, whole, target) && decodeRest(source, whole, target, bytes % 3);
  if (isRight) return bytes;
  target.fill(0, 0, bytes);
  throw malformed();
}

/** So many groups of three bytes. False when a letter is none: what was written then is nothing. */
function decodeGroups(source: Uint8Array, groups: number, target: Uint8Array): boolean {
  let all = 0;
  for (let group = 0; group < groups; group += 1) {
    const from = 4 * group;
    const to = 3 * group;
    const bits =
      (valueAt(source, from) << 18) |
      (valueAt(source, from + 1) << 12) |
      (valueAt(source, from + 2) << 6) |
      valueAt(source, from + 3);
    all |= bits;
    target[to] = bits >> 16;
    target[to + 1] = bits >> 8;
    target[to + 2] = bits;
  }
  return all >= 0;
}

/** The last group, of one or two bytes, if there is one: no bits may be set behind them. */
function decodeRest(source: Uint8Array, group: number, target: Uint8Array, bytes: number): boolean {
  if (bytes === 0) return true;
  const from = 4 * group;
  const third = bytes === 2 ? valueAt(source, from + 2) : 0;
  const bits = (valueAt(source, from) << 18) | (valueAt(source, from + 1) << 12) | (third << 6);
  if (bits < 0 || (bits & (0xffffff >> (8 * bytes))) !== 0) return false;
  target[3 * group] = bits >> 16;
  if (bytes === 2) target[3 * group + 1] = bits >> 8;
  return true;
}

const byteAt = (bytes: Uint8Array, index: number): number => bytes[index] ?? 0;
const valueAt = (source: Uint8Array, index: number): number => VALUES[byteAt(source, index)] ?? NONE;

const malformed = () => new Fault("MALFORMED_REQUEST", { text: "a value is not base64 (RFC 4648 4, padded)" });

/** @throws Fault MALFORMED_REQUEST */
function decodedLength(source: Uint8Array): number {
  const { length } = source;
  if (length % 4 !== 0) throw malformed();
  const pads = length > 0 && source[length - 1] === PAD ? (source[length - 2] === PAD ? 2 : 1) : 0;
  return (length / 4) * 3 - pads;
}
