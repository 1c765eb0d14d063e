// Randomness from a seed: what is drawn once is drawn again.

import type { Random } from "../../../src/core/ports.ts";

export interface Seeded extends Random {
  /** Fills with bytes of which none is zero. */
  fill(bytes: Uint8Array): void;
  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number;
}

const WEYL = 0x6d2b79f5;
/** Words thrown away first, for seeds that differ in a bit begin alike. */
const WARMING = 16;

/** Fills with words of 32 bits from a stream. */
export type KeyStream = (words: Uint32Array) => void;

/** Small fast counter, 128 bits of state: streams of different seeds have no stretch in common, as those of 32 bits do. */
export function keyWords(seed: number): KeyStream {
  const state = { a: seed | 0, b: ~seed, c: 0x243f6a88, counter: 1 };
  const fill = (words: Uint32Array): void => {
    let { a, b, c, counter } = state;
    for (let index = 0; index < words.length; index++) {
      const sum = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
      words[index] = sum;
    }
    Object.assign(state, { a, b, c, counter });
  };
  fill(new Uint32Array(WARMING));
  return fill;
}

/** The same, a word at a time. */
export function keyStream(seed: number): () => number {
  const fill = keyWords(seed);
  const word = new Uint32Array(1);
  return () => {
    fill(word);
    return word[0] ?? 0;
  };
}

/** Mulberry32: short, and good enough to choose by. Bytes come from a stream of their own. */
export function seeded(seed: number): Seeded {
  let state = seed >>> 0;
  const stream = keyStream(seed);
  const next = (): number => {
    state = (state + WEYL) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  return {
    fraction: next,
    hex: (bytes) => Array.from({ length: bytes }, () => between(0, 255).toString(16).padStart(2, "0")).join(""),
    between,
    fill(bytes) {
      for (let index = 0; index < bytes.length; index++) bytes[index] = 1 + (stream() % 255);
      state = (state + Math.imul(WEYL, bytes.length)) >>> 0;
    },
  };
}
