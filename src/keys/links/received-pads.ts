// The pads of one link as their receiver has them: copies of the other end's blocks, named once each, in order.

import { Fault } from "../../core/fault.ts";
import type { BlockId, Change, Range } from "../../vault/vault.ts";
import { type BlockPosition, isAfter, isBeyond, isSamePosition, type PadMark } from "../common/block-position.ts";
import { TABLE } from "../common/rows.ts";
import type { LinkRange } from "../ports/peers.ts";
import type { StoredBlock } from "./link-inventory.ts";
import type { Segment } from "./own-pads.ts";

/** Pads that one offer named: taken out of the books, in memory until the offer is dealt with. */
export interface TakenPads {
  readonly segments: readonly Segment[];
  /** Bytes of blocks that this offer passed over: nobody will name them. */
  readonly skipped: number;
}

/** The copies of a link's blocks. */
export interface Copies {
  find(position: BlockPosition): StoredBlock | undefined;
  leave(id: BlockId): void;
  /** Whether a block of this sequence is ours, not a copy. */
  owns(sequence: number): boolean;
}

/** The pads of one link as its receiver has them: copies of the other end's blocks. */
export class PadCopies {
  readonly #copies: Copies;
  readonly #blockBytes: number;
  #mark: PadMark | undefined;
  readonly #underWay = new Set<TakenPads>();
  /** Used up or passed over, and not yet off the disk. */
  readonly #spent = new Set<StoredBlock>();

  constructor(copies: Copies, blockBytes: number) {
    this.#copies = copies;
    this.#blockBytes = blockBytes;
  }

  /** No pad before it is taken any more. */
  get mark(): PadMark | undefined {
    return this.#mark;
  }

  /** At a start. */
  restore(mark: PadMark): void {
    this.#mark = mark;
  }

  /** Begins anew, as if no pad had ever been named: the copies that there were are for the caller to destroy. */
  restart(): void {
    this.#mark = undefined;
  }

  /** Whether an offer is being dealt with. */
  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Whether a part of this copy was named as pad. */
  isBegun(position: BlockPosition): boolean {
    return this.#mark !== undefined && isSamePosition(position, this.#mark) && this.#mark.offset > 0;
  }

  /** Whether an offer that is being dealt with names this copy. */
  isInUse(id: BlockId): boolean {
    return [...this.#underWay].some(({ segments }) => segments.some(({ block }) => block.id === id));
  }

  /**
   * The copies that an offer names (key-protocol 2): held, the peer's own, in bounds, in order and beyond the mark.
   * @throws Fault MALFORMED_REQUEST, BLOCK_USED, BLOCK_NOT_YOURS, BLOCK_NOT_HELD
   */
  check(pads: readonly LinkRange[]): readonly Segment[] {
    let reached = this.#mark;
    return pads.map((pad) => {
      const { run, sequence, offset, length } = pad;
      if (length <= 0 || offset < 0 || offset + length > this.#blockBytes) {
        throw new Fault("MALFORMED_REQUEST", { text: "a pad lies outside its block" });
      }
      const block = this.#copies.find(pad);
      if (block?.own ?? this.#copies.owns(sequence)) throw new Fault("BLOCK_NOT_YOURS");
      if (isBeyond(reached, { run, sequence, offset })) throw new Fault("BLOCK_USED");
      if (block === undefined) throw new Fault("BLOCK_NOT_HELD");
      reached = { run, sequence, offset: offset + length };
      return { block, offset, length };
    });
  }

  /** Moves the mark behind segments that were checked: from here on nobody can name them again. */
  take(segments: readonly Segment[]): TakenPads {
    const last = segments.at(-1);
    if (last === undefined) throw new Error("no pads are named");
    const { run, sequence } = last.block;
    const before = this.#leaveBehind(last.block, segments);
    this.#mark = { run, sequence, offset: last.offset + last.length };
    const rest = this.#mark.offset < this.#blockBytes ? [last.block] : [];
    for (const { block } of segments) if (!rest.includes(block)) this.#spend(block);
    const taken = { segments, skipped: before };
    this.#underWay.add(taken);
    return taken;
  }

  /** The rests of blocks that are begun and lie before the last of the segments; returns their bytes. */
  #leaveBehind(last: StoredBlock, segments: readonly Segment[]): number {
    const ends = segments.slice(0, -1).map(({ offset, length }) => this.#blockBytes - offset - length);
    return this.#passBegun(last, segments[0]) + ends.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** What is left of the block at the mark, when the next pad lies beyond its first byte; returns its bytes. */
  #passBegun(last: BlockPosition, first: Segment | undefined): number {
    const mark = this.#mark;
    const begun = mark && mark.offset > 0 ? this.#copies.find(mark) : undefined;
    if (mark === undefined || begun === undefined) return 0;
    if (first !== undefined && isSamePosition(first.block, mark)) return first.offset - mark.offset;
    if (isAfter(last, mark)) this.#spend(begun);
    return this.#blockBytes - mark.offset;
  }

  #spend(block: StoredBlock): void {
    this.#copies.leave(block.id);
    this.#spent.add(block);
  }

  /** The other end has gone further than what came here: nothing before `mark` will be named. Returns the bytes passed over. */
  raise(mark: PadMark): number {
    if (!isBeyond(mark, this.#mark)) return 0;
    const isSame = this.#mark !== undefined && isSamePosition(mark, this.#mark);
    const skipped = isSame ? mark.offset - (this.#mark?.offset ?? 0) : this.#passBegun(mark, undefined);
    this.#mark = mark;
    const block = this.#copies.find(mark);
    if (block !== undefined && mark.offset >= this.#blockBytes) this.#spend(block);
    return skipped;
  }

  /** The offer is dealt with: enters in `change` that what is used up goes off the disk. */
  end(taken: TakenPads, change: Change): void {
    this.#underWay.delete(taken);
    this.clear(change);
  }

  /** Takes what is used up off the disk, blocks as soon as nobody needs them. */
  clear(change: Change): void {
    for (const block of this.#spent) {
      change.remove(TABLE.block, block.id);
      if (this.isInUse(block.id)) continue;
      change.destroy(block.id);
      this.#spent.delete(block);
    }
  }

  /** What of a copy is used and needed no more. */
  usedOf(block: StoredBlock): readonly Range[] {
    const starts = [...this.#underWay].flatMap(({ segments }) =>
      segments.filter((segment) => segment.block.id === block.id).map(({ offset }) => offset),
    );
    const mark = this.#mark !== undefined && isSamePosition(block, this.#mark) ? this.#mark.offset : this.#blockBytes;
    const end = Math.min(...starts, mark);
    return end === 0 || (starts.length === 0 && !this.isBegun(block)) ? [] : [{ offset: 0, length: end }];
  }
}
