// The one seeded stream from which everything in a run is drawn, and its branches.

import type { Random } from "../../src/core/ports.ts";
import { type KeyStream, keyWords } from "../keys/support/seeded.ts";

const WEYL = 0x6d2b79f5;

/** Draws the same from the same seed; a branch depends on the seed and its name only. */
export class Dice implements Random {
  #state: number;
  readonly #stream: KeyStream;

  constructor(seed: number) {
    this.#state = seed >>> 0;
    this.#stream = keyWords(this.#state);
  }

  /** Dice of its own for a part of the world, so that one part draws the same whatever the others do. */
  branch(name: string): Dice {
    let mixed = this.#state ^ 0x9e3779b9;
    for (let index = 0; index < name.length; index++) {
      mixed = Math.imul(mixed ^ name.charCodeAt(index), 0x85ebca6b);
      mixed ^= mixed >>> 13;
    }
    return new Dice(mixed);
  }

  /** 32 bits (Mulberry32). */
  bits(): number {
    this.#state = (this.#state + WEYL) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  fraction(): number {
    return this.bits() / 2 ** 32;
  }

  /** An integer from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** True about once in `times`. */
  once(times: number): boolean {
    return this.fraction() * times < 1;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  /** A waiting time with this mean, in ms (exponential, so that events come at random). */
  wait(meanMs: number): number {
    return -Math.log(1 - this.fraction()) * meanMs;
  }

  hex(bytes: number): string {
    let text = "";
    while (text.length < bytes * 2) text += this.bits().toString(16).padStart(8, "0");
    return text.slice(0, bytes * 2);
  }

  /** From a stream of its own: two streams of 32 bits of state would some day have a stretch of key in common. */
  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(Math.ceil(bytes.length / 4));
    this.#stream(words);
    this.#state = (this.#state + Math.imul(WEYL, words.length)) >>> 0;
    bytes.set(new Uint8Array(words.buffer, 0, bytes.length));
  }
}
