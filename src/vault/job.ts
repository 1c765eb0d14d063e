// What a job has in locked memory: its blocks and emptySlots, all given up together.

import type { CachedBlock } from "./memory/cached-blocks.ts";
import { LockedEmptySlot } from "./memory/empty-slot.ts";
import { type BlockHome, OpenedBlock } from "./memory/open-block.ts";
import type { BlockId, EmptySlot, OpenBlock, OpenJob } from "./vault.ts";

/** The blocks and empty slots of one job, given up together. */
export class OpenedJob implements OpenJob {
  readonly blocks: readonly OpenBlock[];
  readonly emptySlots: readonly EmptySlot[];
  readonly #all: DisposableStack;

  /** `pinned`: the blocks named, each once, in their order; then the emptySlots. */
  constructor(names: readonly BlockId[], pinned: readonly CachedBlock[], home: BlockHome) {
    const all = new DisposableStack();
    const distinct = new Set(names).size;
    const opened = new Map(
      pinned.slice(0, distinct).map((cached) => [cached.block, all.use(new OpenedBlock(cached, home))]),
    );
    this.blocks = names.flatMap((name) => opened.get(name) ?? []);
    this.emptySlots = pinned.slice(distinct).map((cached) => all.use(new LockedEmptySlot(cached, home)));
    this.#all = all;
  }

  [Symbol.dispose](): void {
    this.#all.dispose();
  }
}
