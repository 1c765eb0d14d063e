// Knows every key that was handed out, and every rule that they have to keep: one use, the same bytes at both ends.

import { parseKeyId, STEP } from "../../../src/keys/common/key-id.ts";
import type { HandedKey } from "./doors.ts";

/** Who asked, who may fetch, and at which KMs they are at home. */
export interface Pair {
  readonly source: string;
  readonly destination: string;
  readonly initiator: string;
  readonly target: string;
}

/** One supplied key until it is fetched. */
export interface Supplied {
  readonly pair: Pair;
  readonly id: string;
  readonly key: Buffer;
  /** `doubtful`: a fetch was not answered, so it may be gone. */
  state: "supplied" | "doubtful" | "fetched";
}

/** A part of a KMA-key that was supplied, in bytes from its start; `end` in whole steps. */
export interface SuppliedRange {
  readonly start: number;
  readonly end: number;
}

export class Oracle {
  readonly violations: string[] = [];
  readonly #keys = new Map<string, Supplied>();
  /** Every 8 bytes of key that were handed out: two equal ones are a byte used twice (by chance once in 10^9 tests). */
  readonly #words = new Set<string>();
  /** By source and destination KM, then by serial. */
  readonly #ranges = new Map<string, Map<number, SuppliedRange[]>>();

  get keys(): Iterable<Supplied> {
    return this.#keys.values();
  }

  get count(): number {
    return this.#keys.size;
  }

  /** Latin-1 texts of 8 bytes each. */
  get words(): ReadonlySet<string> {
    return this.#words;
  }

  inState(state: Supplied["state"]): Supplied[] {
    return [...this.#keys.values()].filter((one) => one.state === state);
  }

  /** Keys that came in one whole answer. */
  supplied(pair: Pair, keys: readonly HandedKey[]): Supplied[] {
    return keys.map(({ id, key }) => {
      if (this.#keys.has(id)) this.#violated(`the ID ${id} was given twice`);
      this.#noteWords(id, key);
      this.#noteRange(pair, id, key);
      const supplied: Supplied = { pair, id, key, state: "supplied" };
      this.#keys.set(id, supplied);
      return supplied;
    });
  }

  #noteWords(id: string, key: Buffer): void {
    for (let at = 0; at + STEP <= key.length; at += STEP) {
      const word = key.toString("latin1", at, at + STEP);
      if (this.#words.has(word)) this.#violated(`8 bytes of the key ${id} (from byte ${at}) were handed out before`);
      this.#words.add(word);
    }
  }

  #noteRange({ source, destination }: Pair, id: string, key: Buffer): void {
    const parts = parseKeyId(id);
    if (parts === undefined) {
      this.#violated(`${id} is no key ID`);
      return;
    }
    if (parts.length !== key.length) this.#violated(`${id} says ${parts.length} bytes, the key has ${key.length}`);
    const start = parts.offset;
    const end = start + Math.ceil(parts.length / STEP) * STEP;
    const ranges = this.ranges(source, destination, parts.serial);
    const overlapped = ranges.find((range) => start < range.end && range.start < end);
    if (overlapped) this.#violated(`${source} supplied ${id} from bytes that it had supplied before`);
    ranges.push({ start, end });
  }

  /** What was supplied of one KMA-key. */
  ranges(source: string, destination: string, serial: number): SuppliedRange[] {
    const ofPair = this.#ranges.get(`${source} ${destination}`) ?? new Map<number, SuppliedRange[]>();
    this.#ranges.set(`${source} ${destination}`, ofPair);
    const ranges = ofPair.get(serial) ?? [];
    ofPair.set(serial, ranges);
    return ranges;
  }

  /** Serials of which keys were supplied. */
  serials(source: string, destination: string): number[] {
    return [...(this.#ranges.get(`${source} ${destination}`)?.keys() ?? [])];
  }

  /** Keys that came in one whole answer to a fetch of these. */
  fetched(asked: readonly Supplied[], keys: readonly HandedKey[]): void {
    if (keys.length !== asked.length) this.#violated(`${asked.length} keys were asked, ${keys.length} came`);
    for (const [index, { id, key }] of keys.entries()) {
      const supplied = asked[index];
      if (supplied?.id !== id) this.#violated(`${supplied?.id} was asked, ${id} came`);
      else this.#delivered(supplied, key);
    }
  }

  #delivered(supplied: Supplied, key: Buffer): void {
    if (supplied.state === "fetched") this.#violated(`${supplied.id} was fetched twice`);
    if (!supplied.key.equals(key)) this.#violated(`the two ends have different bytes for ${supplied.id}`);
    supplied.state = "fetched";
  }

  /** A fetch of these was refused for good. */
  notFound(asked: readonly Supplied[], why: string): void {
    for (const one of asked.filter(({ state }) => state === "supplied")) {
      this.#violated(`${one.id} (${one.pair.initiator} to ${one.pair.target}) cannot be fetched: ${why}`);
    }
  }

  #violated(what: string): void {
    this.violations.push(what);
  }
}
