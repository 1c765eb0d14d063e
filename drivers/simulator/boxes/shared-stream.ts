// One key stream of two vendor's boxes: the same chunk at the same index at both ends, once each. No I/O.

import type { BoxEnd, SharedKeys } from "./shared-keys.ts";

interface Chunk {
  readonly key: Buffer;
  /** Where it is different, or missing, for a fault. */
  readonly wrongAt: BoxEnd | undefined;
  readonly missingAt: BoxEnd | undefined;
  readonly given: Set<BoxEnd>;
}

/** A stream that both boxes of a pair serve: the same chunk under the same index at both ends. */
export class SharedStream {
  readonly id: string;
  readonly chunkBytes: number;
  readonly joined = new Set<BoxEnd>();
  readonly #keys: SharedKeys;
  readonly #chunks = new Map<number, Chunk>();
  /** Indices that both ends had. */
  readonly #spent = new Set<number>();
  /** When each end asked for an index first. */
  readonly #asked = new Map<string, number>();

  constructor(id: string, chunkBytes: number, keys: SharedKeys) {
    this.id = id;
    this.chunkBytes = chunkBytes;
    this.#keys = keys;
  }

  /** Undefined while there is none, and when this end had it. */
  chunk(end: BoxEnd, index: number): Uint8Array | undefined {
    if (this.#spent.has(index) || this.#isLate(end, index)) return undefined;
    const chunk = this.#chunks.get(index) ?? this.#make(end, index);
    if (chunk === undefined || chunk.missingAt === end || chunk.given.has(end)) return undefined;
    chunk.given.add(end);
    if (chunk.given.size === 2) {
      this.#chunks.delete(index);
      this.#spent.add(index);
    }
    const key = Buffer.from(chunk.key);
    if (chunk.wrongAt === end) key[0] = (key[0] ?? 0) ^ 1;
    return key;
  }

  #isLate(end: BoxEnd, index: number): boolean {
    const { lateMs } = this.#keys.faults;
    if (lateMs === 0) return false;
    const name = `${end} ${index}`;
    const since = this.#asked.get(name) ?? this.#keys.now;
    this.#asked.set(name, since);
    return this.#keys.now < since + lateMs;
  }

  #make(end: BoxEnd, index: number): Chunk | undefined {
    const { wrong, oneEnd } = this.#keys.faults;
    const [made] = this.#keys.draw(1, this.chunkBytes) ?? [];
    if (made === undefined) return undefined;
    const other = end === "a" ? "b" : "a";
    const chunk: Chunk = {
      key: made.key,
      wrongAt: this.#keys.hit(wrong) ? other : undefined,
      missingAt: this.#keys.hit(oneEnd) ? other : undefined,
      given: new Set(),
    };
    this.#chunks.set(index, chunk);
    return chunk;
  }
}
