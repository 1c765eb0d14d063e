// The two QKD modules of a link: the same blocks at both ends, unless the test wants otherwise.

import type { BlockFeed } from "../../../src/keys/links/intake.ts";
import { ModuleEnd } from "./module-end.ts";
import type { Seeded } from "./seeded.ts";

/** What goes wrong with the blocks of one call of `make`. */
export interface Trouble {
  /** The end that never gets the blocks. */
  readonly lostAt?: 0 | 1;
  /** The end whose bits differ. */
  readonly spoiltAt?: 0 | 1;
}

export class Modules {
  readonly #seeded: Seeded;
  readonly #blockBytes: number;
  readonly #ends = [new ModuleEnd(), new ModuleEnd()] as const;
  run = 1;
  #sequence = 0;

  constructor(seed: Seeded, blockBytes: number) {
    this.#seeded = seed;
    this.#blockBytes = blockBytes;
  }

  /** Distils so many blocks at both ends. */
  make(count: number, { lostAt, spoiltAt }: Trouble = {}): void {
    for (let index = 0; index < count; index++) {
      const bytes = new Uint8Array(this.#blockBytes);
      this.#seeded.fill(bytes);
      const sequence = this.#sequence++;
      for (const end of [0, 1] as const) {
        if (end === lostAt) continue;
        const own = Uint8Array.from(bytes);
        if (end === spoiltAt) own[own.length - 1] = (own.at(-1) ?? 0) ^ 1;
        this.#ends[end].push({ run: this.run, sequence, bytes: own });
      }
    }
  }

  /** The modules begin again, at sequence 0 of the next run. */
  restart(): void {
    this.run++;
    this.#sequence = 0;
  }

  feed(end: 0 | 1): BlockFeed {
    return { blocks: () => this.#ends[end].read() };
  }

  /** Ends the reader of one end. */
  stop(end: 0 | 1): void {
    this.#ends[end].end();
  }

  /** Blocks that one end has not been acknowledged. */
  waiting(end: 0 | 1): number {
    return this.#ends[end].held.length;
  }
}
