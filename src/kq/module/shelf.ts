// What a module holds for its host: blocks in order, bounded, each kept until the host has it durable.

import type { BlockRange, Fragment } from "../messages.ts";

/** A block as the module made it. The shelf owns `key` and zeroes it. */
export interface MadeBlock {
  readonly run: number;
  readonly sequence: number;
  readonly key: Uint8Array;
}

interface Held extends MadeBlock {
  /** Bytes that were handed out in this connection. */
  cut: number;
  /** Pieces that may have to be sent again. */
  pieces: number;
  durable: boolean;
}

/** One piece; `arrived` must be called when it need not be sent again. */
export interface Piece {
  readonly values: Fragment;
  readonly arrived: () => void;
}

/** Half of such pieces arrive though one byte in a hundred is wrong. */
const SHORTEST = 32;

/** Blocks that a module holds for its host; bounded. */
export class Shelf {
  readonly #capacity: number;
  readonly #longest: number;
  #pieceBytes: number;
  readonly #held = new Set<Held>();
  /** Those that are not wholly cut in this connection, oldest first. */
  #ahead: Held[] = [];
  #begun = 0;
  dropped = 0;

  constructor(capacity: number, pieceBytes: number) {
    this.#capacity = capacity;
    this.#longest = pieceBytes;
    this.#pieceBytes = pieceBytes;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Cuts shorter pieces from now on; `false` when they cannot get shorter. */
  shorten(): boolean {
    if (this.#pieceBytes <= SHORTEST) return false;
    this.#pieceBytes = Math.max(SHORTEST, this.#pieceBytes >> 4);
    return true;
  }

  /** Cuts pieces twice as long from now on, up to what they were at first. */
  lengthen(): void {
    this.#pieceBytes = Math.min(this.#longest, this.#pieceBytes * 2);
  }

  /** Keeps a block; a full shelf drops it, counted, and says `false`. */
  offer(block: MadeBlock): boolean {
    if (this.#held.size >= this.#capacity) {
      block.key.fill(0);
      this.dropped++;
      return false;
    }
    const held = { ...block, cut: 0, pieces: 0, durable: false };
    this.#held.add(held);
    this.#ahead.push(held);
    return true;
  }

  /** A new connection: every block that is not durable goes out again, oldest first. */
  rewind(): void {
    this.#begun = 0;
    for (const held of this.#held) {
      held.pieces = 0;
      held.cut = 0;
      this.#forgetIfDone(held);
    }
    this.#ahead = [...this.#held];
  }

  /** The next piece, as long as no more than `granted` blocks were begun in this connection. */
  next(granted: number): Piece | undefined {
    while (this.#ahead[0]?.durable && this.#ahead[0].cut === 0) this.#ahead.shift();
    const held = this.#ahead[0];
    if (held === undefined || (held.cut === 0 && this.#begun >= granted)) return undefined;
    const { run, sequence, cut: offset } = held;
    if (offset === 0) this.#begun++;
    const key = held.key.subarray(offset, offset + this.#pieceBytes);
    held.cut += key.length;
    held.pieces++;
    if (held.cut === held.key.length) this.#ahead.shift();
    return { values: { run, sequence, offset, key }, arrived: () => this.#arrived(held) };
  }

  /** The host has these for good. */
  durable(ranges: readonly BlockRange[]): void {
    for (const held of this.#held) {
      if (!ranges.some((range) => isWithin(held, range))) continue;
      held.durable = true;
      this.#forgetIfDone(held);
    }
  }

  /** Zeroes and forgets everything, as a module without power does. */
  clear(): void {
    for (const held of this.#held) held.key.fill(0);
    this.#held.clear();
    this.#ahead = [];
  }

  #arrived(held: Held): void {
    held.pieces--;
    this.#forgetIfDone(held);
  }

  #forgetIfDone(held: Held): void {
    const between = held.cut > 0 && held.cut < held.key.length;
    if (!held.durable || held.pieces > 0 || between) return;
    held.key.fill(0);
    this.#held.delete(held);
  }
}

const isWithin = ({ run, sequence }: MadeBlock, range: BlockRange): boolean =>
  run === range.run && sequence >= range.first && sequence < range.first + range.count;
