// Keys as raw bytes or hexadecimal digits, made of their base64 where it lies: no string, no other memory.

import { decodeBase64 } from "./base64.ts";

const DIGITS = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));

/**
 * Turns the base64 from `at` to `end` into its bytes, from `at` on, and zeroes the rest; returns the position behind them.
 * @throws Fault MALFORMED_REQUEST when it is no base64
 */
export function decodeInPlace(memory: Uint8Array, at: number, end: number): number {
  const letters = memory.subarray(at, end);
  // Safe: each group of three bytes lies before the letters that are still to be read.
  const behind = at + decodeBase64(letters, letters);
  memory.fill(0, behind, end);
  return behind;
}

/**
 * Writes the bytes from `from` to `end` as lower-case digits at `at`, and zeroes what of them lies behind the digits;
 * returns the position behind the digits.
 * @throws RangeError when the digits would overtake the bytes
 */
export function encodeHexInPlace(memory: Uint8Array, from: number, end: number, at: number): number {
  const behind = at + 2 * (end - from);
  if (from < at + (end - from) || end > memory.length) throw new RangeError("the digits would overtake the bytes");
  for (let read = from, write = at; read < end; read += 1, write += 2) {
    const byte = memory[read] ?? 0;
    memory[write] = DIGITS[byte >> 4] ?? 0;
    memory[write + 1] = DIGITS[byte & 15] ?? 0;
  }
  if (behind < end) memory.fill(0, behind, end);
  return behind;
}
