// The supply ring: locked memory in which answers are written one after the other, to leave in one write.

import { MAX_FRAME_BYTES } from "./frame.ts";

/** Takes a view before it returns: `Channel.write` has encrypted all of it by then. */
export interface Sink {
  write(bytes: Uint8Array): void;
}

/**
 * A batch is written, written and zeroed within one turn of the event loop, so every batch begins at the front again.
 * Batches nest: one that begins while another is open lies behind it and has to be flushed before that goes on.
 *
 *     const start = ring.begin();
 *     if (!ring.fits(bytes)) ring.flush(start, channel);
 *     ring.advance(writeAnswer(ring.memory, ring.end));
 *     ring.flush(start, channel);
 */
export class SupplyRing {
  readonly memory: Uint8Array;
  #end = 0;

  /** @throws RangeError unless `memory` is a power of two of bytes and holds the longest frame */
  constructor(memory: Uint8Array) {
    const size = memory.length;
    if (size < MAX_FRAME_BYTES || (size & (size - 1)) !== 0) {
      throw new RangeError(`a supply ring has a power of two of bytes and at least ${MAX_FRAME_BYTES}, not ${size}`);
    }
    this.memory = memory;
  }

  /** Where the next answer is written. */
  get end(): number {
    return this.#end;
  }

  begin(): number {
    return this.#end;
  }

  /** Whether `bytes` more fit behind what is written. */
  fits(bytes: number): boolean {
    return this.#end + bytes <= this.memory.length;
  }

  /** Counts what was written, up to the position `end`. @throws RangeError when that is not in the rest of the ring */
  advance(end: number): void {
    if (end < this.#end || end > this.memory.length) throw new RangeError(`the ring cannot advance to ${end}`);
    this.#end = end;
  }

  /** Writes the batch that began at `start`, if anything is in it, and zeroes it whatever happens. */
  flush(start: number, sink: Sink): void {
    if (start === this.#end) return;
    const batch = this.memory.subarray(start, this.#end);
    try {
      sink.write(batch);
    } finally {
      this.discard(start);
    }
  }

  /** Zeroes the batch that began at `start` without writing it: its connection is gone. */
  discard(start: number): void {
    this.memory.fill(0, start, this.#end);
    this.#end = start;
  }
}
