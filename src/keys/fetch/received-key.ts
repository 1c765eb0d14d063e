// One KMA-key at its destination: which ranges of it were fetched, and which a fetch has in hand.

import type { BlockId, KeyIdKey, Range } from "../../vault/vault.ts";
import { FIRST_OFFSET, STEP } from "../common/key-id.ts";
import type { ReceivedRow } from "../common/rows.ts";

/** One KMA-key at its destination. */
export class ReceivedKey {
  readonly serial: number;
  readonly block: BlockId;
  readonly length: number;
  readonly bornAt: number;
  readonly idKey: KeyIdKey;
  /** One bit per 8 bytes: set before the key in it leaves. */
  readonly fetched: Uint8Array;
  /** The source's mark, as it announced. */
  announced: number;
  /** The end of the last range that an application asked for with a right key ID. */
  #askedTo: number;
  /** Ranges marked for fetches under way. */
  readonly #inHand = new Set<Range>();
  #freeSteps: number;

  constructor(row: ReceivedRow, idKey: KeyIdKey) {
    this.serial = row.serial;
    this.block = row.block;
    this.length = row.length;
    this.bornAt = row.bornAt;
    this.fetched = Uint8Array.from(row.fetched);
    this.announced = row.witness;
    this.idKey = idKey;
    const used = this.used();
    this.#freeSteps = (this.length - used.reduce((sum, { length }) => sum + length, 0)) / STEP;
    this.#askedTo = used.reduce((last, { offset, length }) => Math.max(last, offset + length), FIRST_OFFSET);
  }

  /**
   * How far the source has surely carved: its mark as it announced, or the end of what applications have of it here. So a
   * source that was restored is found out by what left it while nobody heard its marks (key-protocol 6).
   */
  get witness(): number {
    return Math.max(this.announced, this.#askedTo);
  }

  /** Whether any byte of the range was fetched, or the range is none of this key's. */
  isTaken({ offset, length }: Range): boolean {
    if (length < STEP || offset < FIRST_OFFSET || offset + length > this.length) return true;
    for (let at = offset; at < offset + length; at += STEP) if (hasBit(this.fetched, at / STEP)) return true;
    return false;
  }

  /** Fetches under way. */
  get pins(): number {
    return this.#inHand.size;
  }

  /** Marks a range of which nothing was fetched, for a fetch that begins. */
  mark(range: Range): void {
    setBits(this.fetched, range, true);
    this.#freeSteps -= range.length / STEP;
    this.#askedTo = Math.max(this.#askedTo, range.offset + range.length);
    this.#inHand.add(range);
  }

  /** Frees a range that was marked and has not left. */
  unmark(range: Range): void {
    setBits(this.fetched, range, false);
    this.#freeSteps += range.length / STEP;
    this.#inHand.delete(range);
  }

  /** The fetch that marked the range has ended: it stays marked. */
  settle(range: Range): void {
    this.#inHand.delete(range);
  }

  /** What is fetched and needed no more, as ranges; the keys at the front count as used. */
  used(): Range[] {
    const done = this.fetched.slice();
    for (const range of this.#inHand) setBits(done, range, false);
    const ranges: { offset: number; length: number }[] = [{ offset: 0, length: FIRST_OFFSET }];
    for (let step = FIRST_OFFSET / STEP; step < this.length / STEP; step++) {
      if (!hasBit(done, step)) continue;
      const last = ranges.at(-1);
      if (last && last.offset + last.length === step * STEP) last.length += STEP;
      else ranges.push({ offset: step * STEP, length: STEP });
    }
    return ranges;
  }

  /** Bytes not fetched. */
  get left(): number {
    return this.#freeSteps * STEP;
  }
}

const hasBit = (bits: Uint8Array, step: number): boolean => ((bits[step >> 3] ?? 0) & (1 << (step & 7))) !== 0;

function setBits(bits: Uint8Array, { offset, length }: Range, on: boolean): void {
  for (let step = offset / STEP; step < (offset + length) / STEP; step++) {
    const byte = bits[step >> 3] ?? 0;
    const bit = 1 << (step & 7);
    bits[step >> 3] = on ? byte | bit : byte & ~bit;
  }
}

/** An empty bitmap for a KMA-key of `length` bytes. */
export const emptyBitmap = (length: number): Uint8Array => new Uint8Array(Math.ceil(length / STEP / 8));
