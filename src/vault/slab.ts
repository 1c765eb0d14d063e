// One region of locked memory cut into slots of one block each: pools for drivers, the rest for open blocks.

import { Fault } from "../core/fault.ts";
import { type Secret, type SecretPool, secretOf } from "../core/secret.ts";

/** A token's decrypt wants 16 bytes more than the plaintext; 64 keep the slots aligned. */
export const SLOT_MARGIN = 64;

interface Waiter {
  readonly give: (slot: Uint8Array) => void;
  readonly refuse: (fault: Fault) => void;
}

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
  #waiters: Waiter[] = [];
  #closed = false;
  /** Puts back a slot that holds what can be had again, if there is one. */
  reclaim: () => boolean = () => false;

  /** @throws Error when the region has no room for four slots */
  constructor(region: Uint8Array, blockBytes: number) {
    this.slotBytes = blockBytes + SLOT_MARGIN;
    this.all = Math.floor(region.length / this.slotBytes);
    if (this.all < 4) {
      throw new Error(`${region.length} bytes of slab hold ${this.all} blocks of ${blockBytes}: give it at least four`);
    }
    for (let index = this.all - 1; index >= 0; index -= 1) {
      this.#free.push(region.subarray(index * this.slotBytes, (index + 1) * this.slotBytes));
    }
  }

  /** Slots that hold nothing, those of the pools included. */
  get free(): number {
    return this.#free.length + this.#idleInPools;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** A zeroed slot; those that must wait are served in turn. @throws Fault STOPPING after `close` */
  acquire(): Promise<Uint8Array> {
    return new Promise((give, refuse) => {
      if (this.#closed) return refuse(new Fault("STOPPING"));
      this.#waiters.push({ give, refuse });
      this.serve();
    });
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

  /** Serves who waits, as long as a slot is free or can be reclaimed. */
  serve(): void {
    while (this.#waiters.length > 0 && (this.#free.length > 0 || this.reclaim())) {
      const slot = this.#free.pop();
      if (slot !== undefined) this.#waiters.shift()?.give(slot);
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
        return secretOf(slot.subarray(0, bytes), () => {
          own.push(slot);
          this.#idleInPools += 1;
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

  #setApart(slots: number): Uint8Array[] {
    while (this.#free.length < slots + 2 && this.reclaim());
    if (this.#free.length < slots + 2) {
      throw new Error(`the slab has ${this.#free.length} free slots: too few to set ${slots} apart; make it larger`);
    }
    return this.#free.splice(0, slots);
  }
}
