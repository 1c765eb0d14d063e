// Looks for key bytes where none may be: in logs and in stores, raw, as hex and as base64, and their SHA-256.

import { createHash } from "node:crypto";

const WORD = 8;
const HASH_BITS = 22;

/** Byte patterns of at least 8 bytes, found at any place of a buffer in one pass. */
export class Needles {
  /** By their first 8 bytes, as Latin-1: what follows, and what it is. */
  readonly #byWord = new Map<string, { readonly rest: string; readonly what: string }[]>();
  /** Whether any pattern may begin with these 4 bytes. */
  readonly #begins = new Uint8Array(1 << HASH_BITS);

  /** `text` is Latin-1. */
  add(text: string, what: string): void {
    const word = text.slice(0, WORD);
    if (word.length < WORD) throw new RangeError("a pattern is too short");
    const known = this.#byWord.get(word) ?? [];
    this.#byWord.set(word, known);
    known.push({ rest: text.slice(WORD), what });
    this.#begins[hash(Buffer.from(word, "latin1"), 0)] = 1;
  }

  /** What is found, with its place. */
  find(haystack: Buffer): string[] {
    const found: string[] = [];
    for (let at = 0; at + WORD <= haystack.length; at++) {
      if (this.#begins[hash(haystack, at)] === 0) continue;
      const candidates = this.#byWord.get(haystack.toString("latin1", at, at + WORD)) ?? [];
      for (const { rest, what } of candidates) {
        const follows = haystack.toString("latin1", at + WORD, at + WORD + rest.length);
        if (follows === rest) found.push(`${what} at byte ${at}`);
      }
    }
    return found;
  }
}

const hash = (bytes: Uint8Array, at: number): number =>
  Math.imul(
    (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24),
    0x9e3779b1,
  ) >>>
  (32 - HASH_BITS);

/** The raw bytes of keys: any 15 of them in a row are found. */
export function rawNeedles(words: Iterable<string>): Needles {
  const needles = new Needles();
  for (const word of words) needles.add(word, "raw key bytes");
  return needles;
}

/** Keys as a careless log would have them: the first bytes in every usual spelling, and of their SHA-256. */
export function spelledNeedles(keys: Iterable<{ readonly id: string; readonly key: Buffer }>): Needles {
  const needles = new Needles();
  for (const { id, key } of keys) {
    spell(needles, key, `key ${id}`);
    spell(needles, createHash("sha256").update(key).digest(), `SHA-256 of key ${id}`);
  }
  return needles;
}

function spell(needles: Needles, bytes: Buffer, what: string): void {
  const front = bytes.subarray(0, WORD);
  needles.add(front.toString("latin1"), `${what}, raw`);
  needles.add(front.toString("hex"), `${what}, hex`);
  needles.add(front.toString("hex").toUpperCase(), `${what}, HEX`);
  // Within a longer run of base64 a key may begin at any of three places; 9 bytes of it, or 6, are whole characters.
  for (const shift of [0, 1, 2]) {
    const part = bytes.subarray(shift, shift + (bytes.length >= shift + 9 ? 9 : 6));
    const spellings = new Set([part.toString("base64"), part.toString("base64url")]);
    for (const spelling of spellings) needles.add(spelling, `${what}, base64`);
  }
}
