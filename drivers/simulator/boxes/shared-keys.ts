// What two vendor's boxes share: key that is made steadily, and what one gave out and the other still has. No I/O.

import { randomBytes, randomUUID } from "node:crypto";
import type { Clock, Random } from "../../../src/core/ports.ts";
import type { BoxFaults } from "./faults.ts";
import type { SharedStream } from "./shared-stream.ts";

/** The two boxes of a pair. */
export type BoxEnd = "a" | "b";

/** The other of the two ends. */
export const otherEnd = (end: BoxEnd): BoxEnd => (end === "a" ? "b" : "a");

/** How much key a pair makes and holds. */
export interface PairRate {
  readonly rateBitsPerS: number;
  /** Most that waits for whoever takes it. */
  readonly bufferBits: number;
}

/** A key of a pair of boxes under its ID. */
export interface NamedKey {
  readonly id: string;
  readonly key: Buffer;
}

interface KeptKey extends NamedKey {
  readonly knownAt: number;
}

/** Keys that one end gave and the other did not, at most; then the oldest go. */
const MOST_KEPT = 65_536;

/** Keys that a pair of boxes has made: each is handed out at one end, and by its ID at the other. */
export class SharedKeys {
  readonly #rate: PairRate;
  readonly #clock: Clock;
  readonly #chance: Random;
  readonly #kept: Readonly<Record<BoxEnd, Map<string, KeptKey>>> = { a: new Map(), b: new Map() };
  #bits: number;
  #at: number;
  faults: BoxFaults;
  /** Key streams by their IDs. */
  readonly streams = new Map<string, SharedStream>();

  constructor(rate: PairRate, faults: BoxFaults, ports: { readonly clock: Clock; readonly chance: Random }) {
    this.#rate = rate;
    this.faults = faults;
    this.#clock = ports.clock;
    this.#chance = ports.chance;
    this.#bits = rate.bufferBits;
    this.#at = ports.clock.monotonicMs();
  }

  get now(): number {
    return this.#clock.monotonicMs();
  }

  /** Bits that can be had now. */
  get bits(): number {
    const now = this.#clock.monotonicMs();
    const made = ((now - this.#at) * this.#rate.rateBitsPerS) / 1000;
    this.#at = now;
    this.#bits = Math.min(this.#rate.bufferBits, this.#bits + made);
    return this.#bits;
  }

  /** New keys that nobody knows yet; undefined when there is not enough. */
  draw(number: number, bytes: number): readonly NamedKey[] | undefined {
    const bits = number * bytes * 8;
    if (this.bits < bits) return undefined;
    this.#bits -= bits;
    return Array.from({ length: number }, () => ({ id: randomUUID(), key: randomBytes(bytes) }));
  }

  /** New keys at one end, which the other then knows; undefined when there is not enough. */
  take(end: BoxEnd, number: number, bytes: number): readonly NamedKey[] | undefined {
    const keys = this.draw(number, bytes);
    for (const key of keys ?? []) this.#keep(otherEnd(end), key);
    return keys;
  }

  #keep(end: BoxEnd, { id, key }: NamedKey): void {
    const { oneEnd, wrong, lateMs } = this.faults;
    if (this.hit(oneEnd)) return;
    const copy = Buffer.from(key);
    if (this.hit(wrong)) copy[0] = (copy[0] ?? 0) ^ 1;
    const kept = this.#kept[end];
    kept.set(id, { id, key: copy, knownAt: this.#clock.monotonicMs() + lateMs });
    const [oldest] = kept.keys();
    if (kept.size > MOST_KEPT && oldest !== undefined) kept.delete(oldest);
  }

  /** Whether a fault of this probability happens now. */
  hit(probability: number): boolean {
    return probability > 0 && this.#chance.fraction() < probability;
  }

  /** Keys that the other end gave, once; undefined, and nothing is gone, when one of them is not known. */
  fetch(end: BoxEnd, ids: readonly string[]): readonly NamedKey[] | undefined {
    const kept = this.#kept[end];
    const now = this.#clock.monotonicMs();
    const found = ids.map((id) => kept.get(id.toLowerCase()));
    if (found.some((key) => key === undefined || key.knownAt > now)) return undefined;
    for (const id of ids) kept.delete(id.toLowerCase());
    return found.filter((key) => key !== undefined);
  }
}
