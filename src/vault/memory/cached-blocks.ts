// Blocks in locked memory: loaded once, pinned while open, the least recently used dropped when a slot is needed.

import { Fault } from "../../core/fault.ts";
import type { BlockId, Range } from "../vault.ts";
import type { Slab, Spared } from "./slab.ts";

/** One block in one slot. */
export interface Resident {
  /** Of a blank: once something was made in it. */
  block: BlockId;
  /** Zero and of no use once `gone`. */
  slot: Uint8Array;
  length: number;
  pins: number;
  /** Destroyed or replaced, or a blank: zeroed as soon as nobody has it open. */
  doomed: boolean;
  gone: boolean;
  loaded: Promise<void> | undefined;
}

/** Fills the front of `slot` with the block, and returns its length. */
export type Load = (block: BlockId, slot: Uint8Array) => Promise<number>;

export type Used = () => readonly Range[];

const NOTHING = new Uint8Array(0);
const NONE: Used = () => [];
const NAMELESS = "" as BlockId;

export class Residents {
  readonly #slab: Slab;
  readonly #load: Load;
  readonly #all = new Map<BlockId, Resident>();
  /** Those that nobody has open, the least recently used first. */
  readonly #idle = new Set<Resident>();
  /** All that have a slot, those that are doomed but open included. */
  readonly #live = new Set<Resident>();
  #closed = false;

  constructor(slab: Slab, load: Load) {
    this.#slab = slab;
    this.#load = load;
    slab.reclaim = (spared) => this.#reclaim(spared);
  }

  /** Slots that hold a block which nobody has open. */
  get idle(): number {
    return this.#idle.size;
  }

  /** Pins a block, loading it without what is used if need be. @throws as `openAll` */
  async open(block: BlockId, used: Used = NONE): Promise<Resident> {
    const [resident] = await this.openAll(new Map([[block, used]]), 0);
    if (resident === undefined) throw new Error(`${block} has no slot`);
    return resident;
  }

  /**
   * Pins blocks, loading those that are not here without what is used, and blanks behind them: all or none, in turn.
   * @throws what `load` throws; Fault STOPPING; RangeError when there could never be so many slots
   */
  async openAll(wanted: ReadonlyMap<BlockId, Used>, blanks: number): Promise<readonly Resident[]> {
    const pinned = await this.#pinAll(wanted, blanks);
    try {
      await allLoaded(pinned);
      if (this.#closed) throw new Fault("STOPPING");
      const lost = pinned.slice(0, wanted.size).find(({ doomed }) => doomed);
      if (lost !== undefined) throw new Error(`${lost.block} was destroyed while it was being opened`);
      return pinned;
    } catch (thrown) {
      for (const resident of pinned) this.unpin(resident);
      throw thrown;
    }
  }

  /** Pins a block if it is here. */
  resident(block: BlockId): Resident | undefined {
    const resident = this.#all.get(block);
    if (resident === undefined || resident.loaded !== undefined) return undefined;
    return this.pin(resident);
  }

  pin(resident: Resident): Resident {
    resident.pins += 1;
    this.#idle.delete(resident);
    return resident;
  }

  unpin(resident: Resident): void {
    resident.pins -= 1;
    if (resident.pins > 0 || resident.gone) return;
    if (resident.doomed) this.#drop(resident);
    else this.#idle.add(resident);
    this.#slab.serve();
  }

  /** The block is destroyed or replaced: whoever has it open keeps it till the end. */
  doom(block: BlockId): void {
    const resident = this.#all.get(block);
    if (resident === undefined) return;
    resident.doomed = true;
    this.#all.delete(block);
    if (!this.#idle.delete(resident)) return;
    this.#drop(resident);
    this.#slab.serve();
  }

  /** Nothing is usable any more, what is open included; the slots themselves are zeroed by whoever owns the memory. */
  close(): void {
    this.#closed = true;
    for (const resident of this.#live) this.#lose(resident);
    this.#all.clear();
    this.#idle.clear();
  }

  #pinAll(wanted: ReadonlyMap<BlockId, Used>, blanks: number): Promise<readonly Resident[]> {
    return new Promise((resolve, refuse) => {
      this.#slab.queue({
        most: wanted.size + blanks,
        spared: wanted,
        need: () => [...wanted.keys()].filter((block) => !this.#all.has(block)).length + blanks,
        give: (slots) => resolve(this.#seat(wanted, slots)),
        refuse,
      });
    });
  }

  /** The blocks that are not here take the first slots; blanks take what is left. */
  #seat(wanted: ReadonlyMap<BlockId, Used>, slots: readonly Uint8Array[]): readonly Resident[] {
    const empty = slots.values();
    const blocks = [...wanted].map(([block, used]) => {
      const here = this.#all.get(block);
      if (here !== undefined) return this.pin(here);
      const { value: slot = NOTHING } = empty.next();
      return this.pin(this.#begin(block, slot, used));
    });
    return [...blocks, ...empty.map((slot) => this.pin(this.#blank(slot)))];
  }

  #begin(block: BlockId, slot: Uint8Array, used: Used): Resident {
    const resident = residentOf(block);
    resident.loaded = this.#fill(resident, slot, used);
    resident.loaded.catch(() => {
      // Whoever has it pinned meets the same.
    });
    this.#all.set(block, resident);
    return resident;
  }

  #blank(slot: Uint8Array): Resident {
    const resident = residentOf(NAMELESS);
    resident.slot = slot;
    resident.doomed = true;
    this.#live.add(resident);
    return resident;
  }

  async #fill(resident: Resident, slot: Uint8Array, used: Used): Promise<void> {
    try {
      resident.length = await this.#load(resident.block, slot);
      if (this.#closed) throw new Fault("STOPPING");
      for (const { offset, length } of used()) slot.fill(0, offset, offset + length);
      resident.slot = slot;
      this.#live.add(resident);
      resident.loaded = undefined;
    } catch (thrown) {
      resident.gone = true;
      if (this.#all.get(resident.block) === resident) this.#all.delete(resident.block);
      this.#slab.release(slot);
      throw this.#closed ? new Fault("STOPPING") : thrown;
    }
  }

  #reclaim(spared: Spared): boolean {
    for (const oldest of this.#idle) {
      if (spared.has(oldest.block)) continue;
      this.#idle.delete(oldest);
      this.#all.delete(oldest.block);
      this.#drop(oldest);
      return true;
    }
    return false;
  }

  #drop(resident: Resident): void {
    const { slot } = resident;
    this.#lose(resident);
    this.#slab.put(slot);
  }

  #lose(resident: Resident): void {
    this.#live.delete(resident);
    resident.gone = true;
    resident.slot = NOTHING;
    resident.length = 0;
  }
}

const residentOf = (block: BlockId): Resident => ({
  block,
  slot: NOTHING,
  length: 0,
  pins: 0,
  doomed: false,
  gone: false,
  loaded: undefined,
});

/** Waits for all, so that nothing is brought in for those who were told that it failed. @throws the first that failed */
async function allLoaded(residents: readonly Resident[]): Promise<void> {
  const ends = await Promise.allSettled(residents.map(({ loaded }) => loaded));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
