// A world without real time: a seeded generator, bounded slots, and key that has a name.

import { createHash } from "node:crypto";
import { type Secret, type SecretPool, secretOf } from "../../src/core/memory/secret.ts";
import type { Random } from "../../src/core/ports.ts";

/** The same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    fraction: () => next() / 0x1_0000_0000,
    hex: (bytes) => Array.from({ length: bytes }, () => (next() & 255).toString(16).padStart(2, "0")).join(""),
  };
}

/** At most `slots` secrets of `bytes` at a time. */
export class CountedPool implements SecretPool {
  taken = 0;
  readonly #slots: number;
  readonly #bytes: number;

  constructor(slots: number, bytes: number) {
    this.#slots = slots;
    this.#bytes = bytes;
  }

  take(): Secret | undefined {
    if (this.taken === this.#slots) return undefined;
    this.taken++;
    return secretOf(Buffer.alloc(this.#bytes), () => {
      this.taken--;
    });
  }
}

/** The key that the test's module makes under this name. */
export function keyOf(run: number, sequence: number, bytes: number): Buffer {
  const key = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 32) {
    createHash("sha256").update(`${run}:${sequence}:${at}`).digest().copy(key, at);
  }
  return key;
}
