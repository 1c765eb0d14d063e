// The pads of one link, as their sender takes them: own blocks, oldest first, front to back, each byte once.
//
//   taken blocks   |====used====|--------|  |-----------------|  |------ …
//                          mark ^        oldest first

import { isAfter, isSamePosition, type PadMark } from "../common/block-position.ts";
import type { StoredBlock } from "./link-inventory.ts";

/** A part of a link block that serves as pad. */
export interface Segment {
  readonly block: StoredBlock;
  /** In bytes. */
  readonly offset: number;
  readonly length: number;
}

/** The pads of one link as its sender takes them: a byte stream over own blocks, each byte taken once. */
export class PadStream {
  readonly #blockBytes: number;
  /** Oldest first; of the first, what lies before the mark is used. */
  #blocks: StoredBlock[] = [];
  #mark: PadMark | undefined;

  /** Bytes of a block of the link. */
  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** Everything before it is used. */
  get mark(): PadMark | undefined {
    return this.#mark;
  }

  /** Bytes at hand. */
  get bytes(): number {
    const [first] = this.#blocks;
    return first === undefined ? 0 : this.#blocks.length * this.#blockBytes - this.#usedOf(first);
  }

  /** Bytes of a block that are used. */
  #usedOf(block: StoredBlock): number {
    return this.#mark !== undefined && isSamePosition(block, this.#mark) ? this.#mark.offset : 0;
  }

  /** Whether an own block may become pad: pads are taken in order. */
  isAhead(block: StoredBlock): boolean {
    const last = this.#blocks.at(-1) ?? this.#mark;
    return last === undefined || isAfter(block, last);
  }

  /** At a start: whether a part of this block is used as pad, so that it is pad for life. */
  isBegun(block: StoredBlock): boolean {
    return this.#usedOf(block) > 0;
  }

  /** Gives the stream its next block, one that is ahead; or at a start the one that is begun. */
  grant(block: StoredBlock): void {
    this.#blocks.push(block);
  }

  /** The next so many bytes, untouched until they are taken; undefined when not so many are at hand. */
  next(bytes: number): readonly Segment[] | undefined {
    if (this.bytes < bytes) return undefined;
    const segments: Segment[] = [];
    let missing = bytes;
    for (const block of this.#blocks) {
      const offset = this.#usedOf(block);
      const length = Math.min(missing, this.#blockBytes - offset);
      if (length > 0) segments.push({ block, offset, length });
      missing -= length;
      if (missing === 0) break;
    }
    return segments;
  }

  /** Whether these are still the next bytes. */
  isNext(segments: readonly Segment[]): boolean {
    const now = this.next(segments.reduce((sum, { length }) => sum + length, 0));
    return segments.every(({ block, offset }, at) => now?.[at]?.block === block && now[at].offset === offset);
  }

  /** Moves the mark behind the next bytes, which `next` told; returns the blocks that are used up. */
  take(segments: readonly Segment[]): readonly StoredBlock[] {
    const last = segments.at(-1);
    if (last === undefined || !this.isNext(segments)) throw new Error("these are not the next bytes of the pads");
    const { run, sequence } = last.block;
    this.#mark = { run, sequence, offset: last.offset + last.length };
    const open = this.#blocks.filter((block) => !segments.some((segment) => segment.block === block));
    const rest = this.#mark.offset < this.#blockBytes ? [last.block] : [];
    this.#blocks = [...rest, ...open];
    return segments.map(({ block }) => block).filter((block) => !rest.includes(block));
  }

  /** At a start, or because the other end has seen more: the mark lies there. Never moves it back. */
  raise(mark: PadMark): void {
    this.#mark = mark;
  }

  /** Begins anew, as if no byte had ever been used: the blocks that there were are for the caller to destroy. */
  restart(): readonly StoredBlock[] {
    const blocks = this.#blocks;
    this.#blocks = [];
    this.#mark = undefined;
    return blocks;
  }

  /** Gives back the blocks of which nothing is used. */
  giveBack(): readonly StoredBlock[] {
    const whole = this.#blocks.filter((block) => this.#usedOf(block) === 0);
    this.#blocks = this.#blocks.filter((block) => !whole.includes(block));
    return whole;
  }

  /** The block that is begun, with what is left of it. */
  get begun(): Segment | undefined {
    const [block] = this.#blocks;
    const offset = block === undefined ? 0 : this.#usedOf(block);
    return block === undefined || offset === 0 ? undefined : { block, offset, length: this.#blockBytes - offset };
  }

  /** Takes the block that is begun out: its rest is never used. */
  dropBegun(): void {
    if (this.begun !== undefined) this.#blocks.shift();
  }

  /** Takes blocks out that cannot be read; returns the bytes that are lost with them. */
  drop(segments: readonly Segment[]): number {
    const before = this.bytes;
    this.#blocks = this.#blocks.filter((block) => !segments.some((segment) => segment.block === block));
    return before - this.bytes;
  }
}
