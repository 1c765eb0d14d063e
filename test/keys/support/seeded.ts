// Randomness from a seed: what is drawn once is drawn again.

import type { Random } from "../../../src/core/ports.ts";

export interface Seeded extends Random {
  /** Fills with bytes of which none is zero. */
  fill(bytes: Uint8Array): void;
  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number;
}

const WEYL = 0x6d2b79f5;

/** Small fast counter, 128 bits of state: streams of different seeds have no stretch in common, as those of 32 bits do. */
export function keyStream(seed: number): () => number {
  let [a, b, c, counter] = [seed | 0, ~seed, 0x243f6a88, 1];
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let warming = 0; warming < 16; warming++) next();
  return next;
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
