// Blocks in locked memory: loaded once, pinned while open, the least recently used dropped when a slot is needed.

import { Fault } from "../core/fault.ts";
import type { Slab } from "./slab.ts";
import type { BlockId, Range } from "./vault.ts";

/** One block in one slot. */
export interface Resident {
  readonly block: BlockId;
  /** Zero and of no use once `gone`. */
  slot: Uint8Array;
  length: number;
  pins: number;
  /** Destroyed or replaced: zeroed as soon as nobody has it open. */
  doomed: boolean;
  gone: boolean;
  loaded: Promise<void> | undefined;
}

/** Fills the front of `slot` with the block, and returns its length. */
export type Load = (block: BlockId, slot: Uint8Array) => Promise<number>;

type Used = () => readonly Range[];

const NOTHING = new Uint8Array(0);

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
    slab.reclaim = () => this.#reclaim();
  }

  /** Slots that hold a block which nobody has open. */
  get idle(): number {
    return this.#idle.size;
  }

  /** Pins a block, loading it without what is used if need be. @throws what `load` throws; Fault STOPPING */
  async open(block: BlockId, used?: Used): Promise<Resident> {
    if (this.#closed) throw new Fault("STOPPING");
    const resident = this.#all.get(block) ?? this.#begin(block, used);
    this.#pin(resident);
    try {
      await resident.loaded;
    } catch (thrown) {
      resident.pins -= 1;
      throw thrown;
    }
    if (!resident.doomed) return resident;
    this.unpin(resident);
    throw new Error(`${block} was destroyed while it was being opened`);
  }

  /** Pins a block if it is here. */
  resident(block: BlockId): Resident | undefined {
    const resident = this.#all.get(block);
    if (resident === undefined || resident.loaded !== undefined) return undefined;
    this.#pin(resident);
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

  #begin(block: BlockId, used: Used = () => []): Resident {
    const resident: Resident = {
      block,
      slot: NOTHING,
      length: 0,
      pins: 0,
      doomed: false,
      gone: false,
      loaded: undefined,
    };
    resident.loaded = this.#fill(resident, used);
    this.#all.set(block, resident);
    return resident;
  }

  async #fill(resident: Resident, used: Used): Promise<void> {
    try {
      const slot = await this.#slab.acquire();
      try {
        resident.length = await this.#load(resident.block, slot);
        if (this.#closed) throw new Fault("STOPPING");
        for (const { offset, length } of used()) slot.fill(0, offset, offset + length);
        resident.slot = slot;
        this.#live.add(resident);
        resident.loaded = undefined;
      } catch (thrown) {
        this.#slab.release(slot);
        throw thrown;
      }
    } catch (thrown) {
      if (this.#all.get(resident.block) === resident) this.#all.delete(resident.block);
      throw thrown;
    }
  }

  #pin(resident: Resident): void {
    resident.pins += 1;
    this.#idle.delete(resident);
  }

  #reclaim(): boolean {
    const [oldest] = this.#idle;
    if (oldest === undefined) return false;
    this.#idle.delete(oldest);
    this.#all.delete(oldest.block);
    this.#drop(oldest);
    return true;
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
