// Blocks on their way through the host: pieces into slots, whole blocks to the iterator, receipts back to the module.

import type { Secret, SecretPool } from "../../core/memory/secret.ts";
import { Malformed } from "../codec.ts";
import type { BlockRange, Fragment } from "../messages.ts";

/** Receipts of one message at most, so that it fits a frame. */
const MAX_RANGES = 200;

interface Name {
  readonly run: number;
  readonly sequence: number;
}

interface Half extends Name {
  readonly slot: Secret;
  filled: number;
}

/** A whole block, as `src/device` wants it. */
export interface Arrived extends Name {
  /** Whoever takes it disposes it. */
  readonly key: Secret;
  /** It is sealed and durable: the module may forget it. */
  acknowledge(): void;
}

/** Memory for blocks, and who is told of what comes twice. */
export interface ArrivalsPorts {
  readonly pool: SecretPool;
  /** A whole block came that is in someone's hands already. */
  repeated(): void;
  /** There is more credit or there are more receipts than were told. */
  changed(): void;
}

const nameOf = ({ run, sequence }: Name): string => `${run}:${sequence}`;

/** Blocks on their way through a host; bounded by the slots of its pool. */
export class Arrivals {
  readonly #blockBytes: number;
  readonly #maxCredit: number;
  readonly #ports: ArrivalsPorts;
  #free: Secret[] = [];
  #half: Half | undefined;
  #begun = 0;
  /** Delivered, and neither acknowledged nor disposed. */
  readonly #inHand = new Set<string>();
  /** Acknowledged here; `told` while a message with it is on its way. Kept until the module confirms. */
  readonly #receipts = new Map<string, Name & { told: boolean }>();
  readonly #queue: Arrived[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(blockBytes: number, maxCredit: number, ports: ArrivalsPorts) {
    this.#blockBytes = blockBytes;
    this.#maxCredit = maxCredit;
    this.#ports = ports;
  }

  /** A connection has ended: half a block is dropped; receipts that were not confirmed go out again in the next. */
  disconnected(): void {
    this.#dropHalf();
    this.#begun = 0;
    for (const receipt of this.#receipts.values()) receipt.told = false;
  }

  /** Blocks that began since the connection did. */
  get begun(): number {
    return this.#begun;
  }

  /** How many blocks the module may send since the connection began: those that began, and as many as there are free slots. */
  granted(): number {
    while (!this.#closed && this.#free.length < this.#maxCredit) {
      const slot = this.#ports.pool.take();
      if (slot === undefined) break;
      if (slot.length < this.#blockBytes) throw new RangeError("a slot of the pool is smaller than a block");
      this.#free.push(slot);
    }
    return this.#begun + this.#free.length;
  }

  /** Receipts that no message on its way carries; they count as told. */
  takeReceipts(): readonly BlockRange[] {
    const ranges: { run: number; first: number; count: number }[] = [];
    for (const receipt of this.#receipts.values()) {
      if (receipt.told) continue;
      const last = ranges.at(-1);
      if (last?.run === receipt.run && last.first + last.count === receipt.sequence) last.count++;
      else if (ranges.length === MAX_RANGES) break;
      else ranges.push({ run: receipt.run, first: receipt.sequence, count: 1 });
      receipt.told = true;
    }
    return ranges;
  }

  /** The module has these receipts. */
  confirmed(ranges: readonly BlockRange[]): void {
    for (const { run, first, count } of ranges) {
      for (let sequence = first; sequence < first + count; sequence++) this.#receipts.delete(nameOf({ run, sequence }));
    }
  }

  /** @throws Malformed when the piece does not follow the last one, or there was no credit for its block */
  fragment(piece: Fragment): void {
    if (piece.offset === 0) this.#startBlock(piece);
    const half = this.#half;
    if (half === undefined || half.filled !== piece.offset || nameOf(half) !== nameOf(piece)) {
      throw new Malformed("a piece does not follow the one before");
    }
    const end = piece.offset + piece.key.length;
    if (piece.key.length === 0 || end > this.#blockBytes) throw new Malformed("a piece is empty or too long");
    half.slot.lend((bytes) => bytes.set(piece.key, piece.offset));
    half.filled = end;
    if (end === this.#blockBytes) this.#whole(half);
  }

  async *blocks(): AsyncGenerator<Arrived> {
    for (;;) {
      const block = this.#queue.shift();
      if (block !== undefined) yield block;
      else if (this.#closed) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Zeroes and gives back all slots that are not in someone's hands; ends `blocks`. */
  close(): void {
    this.#closed = true;
    this.#dropHalf();
    for (const slot of this.#free.splice(0)) slot[Symbol.dispose]();
    for (const block of this.#queue.splice(0)) block.key[Symbol.dispose]();
    this.#wake?.();
  }

  #startBlock(piece: Fragment): void {
    this.#dropHalf();
    const slot = this.#free.pop();
    if (slot === undefined) throw new Malformed("a block came without credit");
    this.#begun++;
    this.#half = { run: piece.run, sequence: piece.sequence, slot, filled: 0 };
  }

  #whole(half: Half): void {
    const name = nameOf(half);
    if (!this.#receipts.has(name) && !this.#inHand.has(name)) {
      this.#half = undefined;
      this.#deliver(half);
      return;
    }
    this.#dropHalf();
    this.#ports.repeated();
    this.#ports.changed();
  }

  #deliver({ run, sequence, slot }: Half): void {
    const name = nameOf({ run, sequence });
    this.#inHand.add(name);
    const key = lentOut(slot, this.#blockBytes, () => {
      this.#inHand.delete(name);
      this.#ports.changed();
    });
    const acknowledge = () => {
      if (this.#closed) return;
      this.#receipts.set(name, { run, sequence, told: false });
      this.#ports.changed();
    };
    this.#queue.push({ run, sequence, key, acknowledge });
    this.#wake?.();
  }

  #dropHalf(): void {
    const half = this.#half;
    if (half === undefined) return;
    this.#half = undefined;
    half.slot.lend((bytes) => bytes.fill(0));
    if (this.#closed) half.slot[Symbol.dispose]();
    else this.#free.push(half.slot);
  }
}

/** The first `length` bytes of a slot; `released` is called once, when it is disposed. */
function lentOut(slot: Secret, length: number, released: () => void): Secret {
  let disposed = false;
  return {
    length,
    lend: (use) => slot.lend((bytes) => use(bytes.subarray(0, length))),
    [Symbol.dispose]() {
      if (disposed) return;
      disposed = true;
      slot[Symbol.dispose]();
      released();
    },
    ...{
      toString: () => "[secret]",
      toJSON: () => "[secret]",
      [Symbol.for("nodejs.util.inspect.custom")]: () => "[secret]",
    },
  };
}
