// An empty slot in which one block is made: out of what travelled under a pad, or out of the parts of a multipath relay.

import { timingSafeEqual } from "node:crypto";
import { checkName } from "../store/store.ts";
import { poly1305, TAG_BYTES } from "../tags.ts";
import type { BlockId, EmptySlot, Masked, OpenBlock, PadPiece } from "../vault.ts";
import type { CachedBlock } from "./cached-blocks.ts";
import { type BlockHome, OpenedBlock, piecesOf, wholeOf } from "./open-block.ts";
import { withPad } from "./pads.ts";
import { xorInto } from "./xor.ts";

/** An empty slot of the slab, in which one block is made once. */
export class LockedEmptySlot implements EmptySlot, Disposable {
  readonly #home: BlockHome;
  readonly #cached: CachedBlock;
  #made: OpenedBlock | undefined;
  #disposed = false;

  constructor(cached: CachedBlock, home: BlockHome) {
    this.#cached = cached;
    this.#home = home;
  }

  unmask(block: BlockId, masked: Masked, pads: readonly PadPiece[], context: Uint8Array): OpenBlock | undefined {
    const slot = this.#empty(block, masked.key.length);
    const { scratch, tagState } = this.#home;
    return withPad(scratch, piecesOf(pads), masked.key.length, ({ tagKey, mask }) => {
      const tag = poly1305(tagState, tagKey, context, masked.key);
      if (masked.tag.length !== TAG_BYTES || !timingSafeEqual(tag, masked.tag)) return undefined;
      slot.set(masked.key);
      xorInto(slot, mask);
      return this.#make(block, slot.length);
    });
  }

  combine(block: BlockId, parts: readonly OpenBlock[]): OpenBlock {
    const [first, ...others] = parts.map(wholeOf);
    if (first === undefined) throw new RangeError("a block is combined of at least one");
    if (others.some(({ length }) => length !== first.length)) throw new RangeError("parts of different lengths");
    if (new Set(parts.map((part) => part.block)).size < parts.length) throw new RangeError("a part is named twice");
    const slot = this.#empty(block, first.length);
    slot.set(first);
    for (const other of others) xorInto(slot, other);
    return this.#make(block, slot.length);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#made?.[Symbol.dispose]();
    this.#home.unpin(this.#cached);
  }

  /** Where a block of `length` bytes is to be made. */
  #empty(block: BlockId, length: number): Uint8Array {
    checkName("block", block);
    if (this.#disposed) throw new Error(`${block} was to be made in a slot that was disposed`);
    if (this.#made !== undefined) throw new Error(`${block} was to be made in the slot of ${this.#made.block}`);
    if (!(length > 0 && length <= this.#home.blockBytes))
      throw new RangeError(`${block}: no block has ${length} bytes`);
    return this.#home.memoryOf(this.#cached).subarray(0, length);
  }

  #make(block: BlockId, length: number): OpenedBlock {
    this.#cached.block = block;
    this.#cached.length = length;
    this.#made = new OpenedBlock(this.#home.pin(this.#cached), this.#home);
    return this.#made;
  }
}
