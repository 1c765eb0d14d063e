// The locked memory of the model vault: slots for open blocks and emptySlots, given in turn, all or none, and leases counted.

import { crypto_generichash } from "sodium-native";
import type { BlockId, KeyIdKey, Range } from "../../src/vault/vault.ts";
import { type BlockHome, ModelBlank, ModelBlock } from "./model-block.ts";

interface Slot {
  readonly block: BlockId;
  readonly bytes: Uint8Array;
  pins: number;
}

/** Blocks that a job needs, with what is used of them, and how many emptySlots. */
export interface Wanted {
  readonly blocks: ReadonlyMap<BlockId, () => readonly Range[]>;
  readonly emptySlots: number;
}

export interface Seated extends Disposable {
  readonly blocks: readonly ModelBlock[];
  readonly emptySlots: readonly ModelBlank[];
}

interface Waiter {
  readonly wanted: Wanted;
  readonly seat: () => void;
}

/** Blocks in memory: at most `size`, those that nobody has open dropped when room is needed. */
export class ModelMemory {
  readonly #size: number;
  readonly #home: BlockHome;
  readonly #slots = new Map<BlockId, Slot>();
  #waiting: Waiter[] = [];
  /** Slots of blocks that were destroyed or replaced while open, and of emptySlots. */
  #nameless = 0;
  /** Leases on blocks and emptySlots, and key-ID keys not disposed. */
  readonly leases = { blocks: 0, idKeys: 0 };

  constructor(size: number, home: BlockHome) {
    this.#size = size;
    this.#home = home;
  }

  /** In turn with all others, when there is room for all of it. @throws RangeError; what the home's `stored` throws */
  take(wanted: Wanted): Promise<Seated> {
    const { blocks, emptySlots } = wanted;
    if (blocks.size + emptySlots > this.#size) return Promise.reject(new RangeError(`there are ${this.#size} slots`));
    return new Promise((resolve, reject) => {
      const seat = () => {
        try {
          resolve(this.#seat(wanted));
        } catch (thrown) {
          reject(thrown);
        }
      };
      this.#waiting.push({ wanted, seat });
      this.#serve();
    });
  }

  #serve(): void {
    for (let [first] = this.#waiting; first !== undefined && this.#makeRoom(first.wanted); [first] = this.#waiting) {
      this.#waiting.shift();
      first.seat();
    }
  }

  #makeRoom({ blocks, emptySlots }: Wanted): boolean {
    const needed = [...blocks.keys()].filter((block) => !this.#slots.has(block)).length + emptySlots;
    for (const { block, pins } of [...this.#slots.values()]) {
      if (this.#free >= needed) break;
      if (pins === 0 && !blocks.has(block)) this.#slots.delete(block);
    }
    return this.#free >= needed;
  }

  get #free(): number {
    return this.#size - this.#slots.size - this.#nameless;
  }

  #seat({ blocks, emptySlots }: Wanted): Seated {
    for (const [block, used] of blocks) this.#load(block, used);
    const open = [...blocks.keys()].flatMap((block) => this.lease(block) ?? []);
    const empty = Array.from({ length: emptySlots }, () => this.#emptySlot());
    const all = [...open, ...empty];
    return {
      blocks: open,
      emptySlots: empty,
      [Symbol.dispose]() {
        for (const lease of all) lease[Symbol.dispose]();
      },
    };
  }

  /** The block as it was sealed, with zeros where it is used. */
  #load(block: BlockId, used: () => readonly Range[]): void {
    if (this.#slots.has(block)) return;
    const bytes = new Uint8Array(this.#home.stored(block));
    for (const { offset, length } of used()) bytes.fill(0, offset, offset + length);
    this.#slots.set(block, { block, bytes, pins: 0 });
  }

  /** A lease on a block that is here. */
  lease(block: BlockId): ModelBlock | undefined {
    const slot = this.#slots.get(block);
    if (slot === undefined) return undefined;
    slot.pins++;
    this.leases.blocks++;
    return new ModelBlock(block, slot.bytes, this.#home, () => this.#release(slot));
  }

  #release(slot: Slot): void {
    slot.pins--;
    this.leases.blocks--;
    if (slot.pins === 0 && this.#slots.get(slot.block) !== slot) this.#nameless--;
    this.#serve();
  }

  #emptySlot(): ModelBlank {
    this.#nameless++;
    this.leases.blocks++;
    return new ModelBlank(this.#home, () => {
      this.#nameless--;
      this.leases.blocks--;
      this.#serve();
    });
  }

  /** The block was destroyed or replaced: whoever has it open keeps it till the end. */
  drop(block: BlockId): void {
    if ((this.#slots.get(block)?.pins ?? 0) > 0) this.#nameless++;
    this.#slots.delete(block);
    this.#serve();
  }

  idKey(bytes: Uint8Array): KeyIdKey {
    this.leases.idKeys++;
    return new ModelIdKey(bytes, () => {
      this.leases.idKeys--;
    });
  }
}

export class ModelIdKey implements KeyIdKey {
  #bytes: Uint8Array | undefined;
  readonly #released: () => void;

  constructor(bytes: Uint8Array, released: () => void) {
    this.#bytes = bytes;
    this.#released = released;
  }

  tag(message: Uint8Array, tag: Uint8Array): void {
    if (this.#bytes === undefined) throw new Error("a key-ID key was used after it was disposed");
    crypto_generichash(tag, message, this.#bytes);
  }

  [Symbol.dispose](): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    this.#released();
  }
}
