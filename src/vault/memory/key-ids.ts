// Key-ID keys: 32 bytes each, in locked memory.

import { Fault } from "../../core/fault.ts";
import { blake2b128 } from "../tags.ts";
import type { KeyIdKey } from "../vault.ts";

/** Bytes of a key-ID key (key-protocol 2). */
export const KEY_ID_KEY_BYTES = 32;
/** What a token wants beyond the key when it opens one. */
const TAG_ROOM = 16;
const STRIDE = KEY_ID_KEY_BYTES + TAG_ROOM;

/** Bytes of locked memory that so many key-ID keys take. */
export const keyIdRegionBytes = (keys: number): number => keys * STRIDE;

/** A key-ID key that is being brought in: `bytes` has room for the key and a tag. */
export interface KeyIdPosition {
  readonly bytes: Uint8Array;
  /** The key is there: makes it usable. Dispose gives the place back. */
  ready(): KeyIdKey;
  /** Gives the place back without a key. */
  release(): void;
}

/** All key-ID keys that are open, in locked regions of fixed size. */
export class KeyIdKeys {
  /** Places given back. */
  readonly #free: Uint8Array[] = [];
  /** Regions, and up to where places were cut from them: views of all at once would weigh twice what they show. */
  readonly #uncut: { readonly region: Uint8Array; at: number }[] = [];
  readonly #live = new Set<LiveKey>();
  #places = 0;

  constructor(region: Uint8Array) {
    this.add(region);
  }

  /** As many as can be open at a time. */
  get places(): number {
    return this.#places;
  }

  /** From now on there is room in this locked region too. */
  add(region: Uint8Array): void {
    this.#places += Math.floor(region.length / STRIDE);
    if (region.length >= STRIDE) this.#uncut.push({ region, at: 0 });
  }

  #cut(): Uint8Array | undefined {
    const [first] = this.#uncut;
    if (first === undefined) return undefined;
    const bytes = first.region.subarray(first.at, first.at + STRIDE);
    first.at += STRIDE;
    if (first.at + STRIDE > first.region.length) this.#uncut.shift();
    return bytes;
  }

  /** @throws Fault STORE_FULL when as many are in use as were configured */
  place(): KeyIdPosition {
    const bytes = this.#free.pop() ?? this.#cut();
    if (bytes === undefined) throw new Fault("STORE_FULL", { text: "all places for key-ID keys are taken" });
    const release = () => {
      bytes.fill(0);
      this.#free.push(bytes);
    };
    return {
      bytes,
      release,
      ready: () => {
        const key: LiveKey = new LiveKey(bytes.subarray(0, KEY_ID_KEY_BYTES), () => {
          this.#live.delete(key);
          release();
        });
        this.#live.add(key);
        return key;
      },
    };
  }

  /** No key is usable any more. */
  close(): void {
    for (const key of this.#live) key[Symbol.dispose]();
    this.#free.length = 0;
    this.#uncut.length = 0;
  }
}

class LiveKey implements KeyIdKey {
  #key: Uint8Array | undefined;
  readonly #released: () => void;

  constructor(key: Uint8Array, released: () => void) {
    this.#key = key;
    this.#released = released;
  }

  tag(message: Uint8Array, tag: Uint8Array): void {
    if (this.#key === undefined) throw new Error("a key-ID key was used after it was disposed");
    blake2b128(this.#key, message, tag);
  }

  [Symbol.dispose](): void {
    if (this.#key === undefined) return;
    this.#key = undefined;
    this.#released();
  }
}
