// One region of locked memory cut into slots of one block each: pools for drivers, the rest for open blocks.
//
// Room `vault/memory`: locked memory, cut into slots of one block. Open blocks are cached and zeroed when a slot is needed;
// jobs take all their slots or none. Nothing here knows the store or the token.

import { Fault } from "../../core/fault.ts";
import { type Secret, type SecretPool, secretOf } from "../../core/memory/secret.ts";
import type { BlockId } from "../vault.ts";

/** A token's decrypt wants 16 bytes more than the plaintext; 64 keep the slots aligned. */
export const SLOT_MARGIN = 64;

/** Blocks that are not to be dropped for whoever needs slots, for it needs them too. */
export type Retained = { has(block: BlockId): boolean };

/** Somebody who needs slots, all at once. Until they are given it holds nothing. */
export interface Waiter {
  /** Slots with which it is served whatever is in memory then. */
  readonly most: number;
  readonly retained: Retained;
  /** Slots that it needs now. */
  need(): number;
  /** Takes them, as many as it has just needed. */
  give(slots: Uint8Array[]): void;
  refuse(reason: Error): void;
}

const NOTHING: Retained = new Set<BlockId>();

/**
 *     region: | slot 0 | slot 1 | … |          a slot is zero whenever it is free
 *             '- block bytes + 64 -'
 */
export class Slab {
  readonly all: number;
  readonly slotBytes: number;
  readonly #free: Uint8Array[] = [];
  /** Slots set apart that are not in use, or whose use is the vault's own. */
  #idleInPools = 0;
  #lentByPools = 0;
  #waiters: Waiter[] = [];
  #closed = false;
  /** Slots for open blocks: all but those set apart. */
  #usable: number;
  /** Puts back a slot that holds what can be had again, if there is one. */
  reclaim: (retained: Retained) => boolean = () => false;

  /** @throws Error when the region has no room for four slots */
  constructor(region: Uint8Array, blockBytes: number) {
    this.slotBytes = blockBytes + SLOT_MARGIN;
    this.all = Math.floor(region.length / this.slotBytes);
    if (this.all < 4) {
      throw new Error(`${region.length} bytes of slab hold ${this.all} blocks of ${blockBytes}: give it at least four`);
    }
    this.#usable = this.all;
    for (let index = this.all - 1; index >= 0; index -= 1) {
      this.#free.push(region.subarray(index * this.slotBytes, (index + 1) * this.slotBytes));
    }
  }

  /** Slots that hold nothing, those of the pools included. */
  get free(): number {
    return this.#free.length + this.#idleInPools;
  }

  /** Slots of pools that are in use. */
  get lentByPools(): number {
    return this.#lentByPools;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** A zeroed slot, in turn. @throws Fault STOPPING after `close` */
  acquire(): Promise<Uint8Array> {
    return new Promise((resolve, refuse) => {
      const give = ([slot]: Uint8Array[]) => slot !== undefined && resolve(slot);
      this.queue({ most: 1, retained: NOTHING, need: () => 1, give, refuse });
    });
  }

  /** Serves it in its turn, perhaps at once; refuses it with a RangeError when there could never be so many slots. */
  queue(waiter: Waiter): void {
    if (this.#closed) waiter.refuse(new Fault("STOPPING"));
    else this.#waiters.push(waiter);
    this.serve();
  }

  /** Takes a slot back without looking who waits. */
  put(slot: Uint8Array): void {
    slot.fill(0);
    this.#free.push(slot);
  }

  release(slot: Uint8Array): void {
    this.put(slot);
    this.serve();
  }

  /**
   * Serves who waits. What falls idle is dropped for the first of them as soon as it does, so that it gets all that it
   * needs in the end, and nobody behind it comes first.
   */
  serve(): void {
    for (let [first] = this.#waiters; first !== undefined; [first] = this.#waiters) {
      const slots = this.#slotsFor(first);
      if (slots === undefined) return;
      this.#waiters.shift();
      if (first.most > this.#usable) first.refuse(tooLarge(first.most, this.#usable));
      else first.give(slots);
    }
  }

  /**
   * Sets slots apart for good. @throws Error when fewer than two would be left for open blocks
   * @param bytes length of the secrets it gives
   */
  pool(slots: number, bytes: number): SecretPool {
    if (bytes + SLOT_MARGIN > this.slotBytes) throw new RangeError(`a block of ${bytes} bytes does not fit a slot`);
    const own = this.#setApart(slots);
    this.#idleInPools += slots;
    return {
      take: (): Secret | undefined => {
        const slot = own.pop();
        if (slot === undefined) return undefined;
        this.#idleInPools -= 1;
        this.#lentByPools += 1;
        return secretOf(slot.subarray(0, bytes), () => {
          own.push(slot);
          this.#idleInPools += 1;
          this.#lentByPools -= 1;
        });
      },
    };
  }

  /** One slot for good, for a job that must never wait. */
  reserve(): Uint8Array {
    const [slot] = this.#setApart(1);
    if (slot === undefined) throw new Error("the slab has no slot to reserve");
    this.#idleInPools += 1;
    return slot;
  }

  /** Refuses who waits and who comes. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(new Fault("STOPPING"));
  }

  /** Undefined until there are enough; none for who can never be served. */
  #slotsFor(waiter: Waiter): Uint8Array[] | undefined {
    if (waiter.most > this.#usable) return [];
    const need = waiter.need();
    while (this.#free.length < need && this.reclaim(waiter.retained));
    return this.#free.length < need ? undefined : this.#free.splice(this.#free.length - need);
  }

  #setApart(slots: number): Uint8Array[] {
    while (this.#free.length < slots + 2 && this.reclaim(NOTHING));
    if (this.#free.length < slots + 2) {
      throw new Error(`the slab has ${this.#free.length} free slots: too few to set ${slots} apart; make it larger`);
    }
    this.#usable -= slots;
    return this.#free.splice(0, slots);
  }
}

const tooLarge = (most: number, usable: number) =>
  new RangeError(`a job of ${most} blocks never fits the slab: it has ${usable} slots for open blocks`);
