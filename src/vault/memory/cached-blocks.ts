// Blocks in locked memory: loaded once, pinned while open, the least recently used dropped when a slot is needed.

import { Fault } from "../../core/fault.ts";
import type { BlockId, Range } from "../vault.ts";
import type { Retained, Slab } from "./slab.ts";

/** One block in one slot. */
export interface CachedBlock {
  /** Of a emptySlot: once something was made in it. */
  block: BlockId;
  /** Zero and of no use once `gone`. */
  slot: Uint8Array;
  length: number;
  pins: number;
  /** Destroyed or replaced, or a emptySlot: zeroed as soon as nobody has it open. */
  invalidated: boolean;
  gone: boolean;
  loaded: Promise<void> | undefined;
}

/** Fills the front of `slot` with the block, and returns its length. */
export type Load = (block: BlockId, slot: Uint8Array) => Promise<number>;

/** Ranges of a block that are used, asked when the block is loaded. */
export type Used = () => readonly Range[];

const NOTHING = new Uint8Array(0);
const NONE: Used = () => [];
const NAMELESS = "" as BlockId;

/** All blocks in locked memory, by ID; those that nobody has open give way. */
export class CachedBlocks {
  readonly #slab: Slab;
  readonly #load: Load;
  readonly #all = new Map<BlockId, CachedBlock>();
  /** Those that nobody has open, the least recently used first. */
  readonly #idle = new Set<CachedBlock>();
  /** All that have a slot, those that are invalidated but open included. */
  readonly #live = new Set<CachedBlock>();
  #closed = false;

  constructor(slab: Slab, load: Load) {
    this.#slab = slab;
    this.#load = load;
    slab.reclaim = (retained) => this.#reclaim(retained);
  }

  /** Slots that hold a block which nobody has open. */
  get idle(): number {
    return this.#idle.size;
  }

  /** Pins a block, loading it without what is used if need be. @throws as `openAll` */
  async open(block: BlockId, used: Used = NONE): Promise<CachedBlock> {
    const [cached] = await this.openAll(new Map([[block, used]]), 0);
    if (cached === undefined) throw new Error(`${block} has no slot`);
    return cached;
  }

  /**
   * Pins blocks, loading those that are not here without what is used, and emptySlots behind them: all or none, in turn.
   * @throws what `load` throws; Fault STOPPING; RangeError when there could never be so many slots
   */
  async openAll(wanted: ReadonlyMap<BlockId, Used>, emptySlots: number): Promise<readonly CachedBlock[]> {
    const pinned = await this.#pinAll(wanted, emptySlots);
    try {
      await allLoaded(pinned);
      if (this.#closed) throw new Fault("STOPPING");
      const lost = pinned.slice(0, wanted.size).find(({ invalidated }) => invalidated);
      if (lost !== undefined) throw new Error(`${lost.block} was destroyed while it was being opened`);
      return pinned;
    } catch (thrown) {
      for (const cached of pinned) this.unpin(cached);
      throw thrown;
    }
  }

  /** Pins a block if it is here. */
  cached(block: BlockId): CachedBlock | undefined {
    const cached = this.#all.get(block);
    if (cached === undefined || cached.loaded !== undefined) return undefined;
    return this.pin(cached);
  }

  pin(cached: CachedBlock): CachedBlock {
    cached.pins += 1;
    this.#idle.delete(cached);
    return cached;
  }

  unpin(cached: CachedBlock): void {
    cached.pins -= 1;
    if (cached.pins > 0 || cached.gone) return;
    if (cached.invalidated) this.#drop(cached);
    else this.#idle.add(cached);
    this.#slab.serve();
  }

  /** The block is destroyed or replaced: whoever has it open keeps it till the end. */
  invalidate(block: BlockId): void {
    const cached = this.#all.get(block);
    if (cached === undefined) return;
    cached.invalidated = true;
    this.#all.delete(block);
    if (!this.#idle.delete(cached)) return;
    this.#drop(cached);
    this.#slab.serve();
  }

  /** Nothing is usable any more, what is open included; the slots themselves are zeroed by whoever owns the memory. */
  close(): void {
    this.#closed = true;
    for (const cached of this.#live) this.#lose(cached);
    this.#all.clear();
    this.#idle.clear();
  }

  #pinAll(wanted: ReadonlyMap<BlockId, Used>, emptySlots: number): Promise<readonly CachedBlock[]> {
    return new Promise((resolve, refuse) => {
      this.#slab.queue({
        most: wanted.size + emptySlots,
        retained: wanted,
        need: () => [...wanted.keys()].filter((block) => !this.#all.has(block)).length + emptySlots,
        give: (slots) => resolve(this.#seat(wanted, slots)),
        refuse,
      });
    });
  }

  /** The blocks that are not here take the first slots; emptySlots take what is left. */
  #seat(wanted: ReadonlyMap<BlockId, Used>, slots: readonly Uint8Array[]): readonly CachedBlock[] {
    const empty = slots.values();
    const blocks = [...wanted].map(([block, used]) => {
      const here = this.#all.get(block);
      if (here !== undefined) return this.pin(here);
      const { value: slot = NOTHING } = empty.next();
      return this.pin(this.#begin(block, slot, used));
    });
    return [...blocks, ...empty.map((slot) => this.pin(this.#emptySlot(slot)))];
  }

  #begin(block: BlockId, slot: Uint8Array, used: Used): CachedBlock {
    const cached = cachedBlockOf(block);
    cached.loaded = this.#fill(cached, slot, used);
    cached.loaded.catch(() => {
      // Whoever has it pinned meets the same.
    });
    this.#all.set(block, cached);
    return cached;
  }

  #emptySlot(slot: Uint8Array): CachedBlock {
    const cached = cachedBlockOf(NAMELESS);
    cached.slot = slot;
    cached.invalidated = true;
    this.#live.add(cached);
    return cached;
  }

  async #fill(cached: CachedBlock, slot: Uint8Array, used: Used): Promise<void> {
    try {
      cached.length = await this.#load(cached.block, slot);
      if (this.#closed) throw new Fault("STOPPING");
      for (const { offset, length } of used()) slot.fill(0, offset, offset + length);
      cached.slot = slot;
      this.#live.add(cached);
      cached.loaded = undefined;
    } catch (thrown) {
      cached.gone = true;
      if (this.#all.get(cached.block) === cached) this.#all.delete(cached.block);
      this.#slab.release(slot);
      throw this.#closed ? new Fault("STOPPING") : thrown;
    }
  }

  #reclaim(retained: Retained): boolean {
    for (const oldest of this.#idle) {
      if (retained.has(oldest.block)) continue;
      this.#idle.delete(oldest);
      this.#all.delete(oldest.block);
      this.#drop(oldest);
      return true;
    }
    return false;
  }

  #drop(cached: CachedBlock): void {
    const { slot } = cached;
    this.#lose(cached);
    this.#slab.put(slot);
  }

  #lose(cached: CachedBlock): void {
    this.#live.delete(cached);
    cached.gone = true;
    cached.slot = NOTHING;
    cached.length = 0;
  }
}

const cachedBlockOf = (block: BlockId): CachedBlock => ({
  block,
  slot: NOTHING,
  length: 0,
  pins: 0,
  invalidated: false,
  gone: false,
  loaded: undefined,
});

/** Waits for all, so that nothing is brought in for those who were told that it failed. @throws the first that failed */
async function allLoaded(cachedBlocks: readonly CachedBlock[]): Promise<void> {
  const ends = await Promise.allSettled(cachedBlocks.map(({ loaded }) => loaded));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
