// Randomness from a seed: what is drawn once is drawn again.

import type { Random } from "../../../src/core/ports.ts";

export interface Seeded extends Random {
  /** Fills with bytes of which none is zero. */
  fill(bytes: Uint8Array): void;
  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number;
}

/** Mulberry32: short, and good enough to choose by. */
export function seeded(seed: number): Seeded {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
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
      for (let index = 0; index < bytes.length; index++) bytes[index] = between(1, 255);
    },
  };
}
