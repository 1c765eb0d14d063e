// Frames on their way out: written into the supply ring as long as they fit, one write each time the channel is free.

import { Fault } from "../core/fault.ts";
import type { Channel } from "../net/channel.ts";
import { MAX_FRAME_BYTES } from "../wire/frame.ts";
import type { SupplyRing } from "../wire/ring.ts";
import { frameBytes, type ReadyKeys, refusalFrame, writeKeys } from "./answer.ts";

/** What is ready to leave: keys, or a frame without secrets. */
export type Ready = ReadyKeys | Uint8Array;

/**
 * Within `batch` answers are written at once and leave together; outside, and when the channel is writing or the ring is
 * full, they wait here in order, keys as grants and not as bytes. How many wait is bounded by whoever asks.
 */
export class Outbox {
  readonly #channel: Channel;
  readonly #ring: SupplyRing;
  readonly #waiting: Ready[] = [];
  /** Where the open batch begins in the ring. */
  #batch: number | undefined;
  #scheduled = false;
  #closed = false;

  constructor(channel: Channel, ring: SupplyRing) {
    this.#channel = channel;
    this.#ring = ring;
  }

  /** Frames that wait for the channel. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs `work`; the answers that are put meanwhile go out in one write. */
  batch(work: () => void): void {
    const start = this.#ring.begin();
    this.#batch = start;
    try {
      work();
    } finally {
      this.#batch = undefined;
      this.#flush(start);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }

  put(ready: Ready): void {
    if (this.#closed) disposeOf(ready);
    else if (this.#batch === undefined || !this.#writeNow(this.#batch, ready)) {
      this.#waiting.push(ready);
      if (this.#batch === undefined) this.#schedule();
    }
  }

  /** Takes back what still waits, and disposes it; `false` when it has left. */
  withdraw(ready: Ready): boolean {
    const at = this.#waiting.indexOf(ready);
    if (at < 0) return false;
    this.#waiting.splice(at, 1);
    disposeOf(ready);
    return true;
  }

  /** The channel is free: what waits goes out. */
  drained(): void {
    if (this.#waiting.length === 0 || this.#closed || this.#channel.writing) return;
    const start = this.#ring.begin();
    let written = 0;
    for (const ready of this.#waiting) {
      if (!this.#write(ready)) break;
      written += 1;
    }
    this.#waiting.splice(0, written);
    this.#flush(start);
  }

  /** Disposes what waits, and what comes later. */
  close(): void {
    this.#closed = true;
    for (const ready of this.#waiting.splice(0)) disposeOf(ready);
  }

  #writeNow(start: number, ready: Ready): boolean {
    if (this.#waiting.length > 0 || this.#channel.writing) return false;
    if (this.#write(ready)) return true;
    this.#flush(start);
    return false;
  }

  /** Lays one answer behind the others; `false` when the ring has no room for it now. */
  #write(ready: Ready): boolean {
    const ring = this.#ring;
    if (ready instanceof Uint8Array) {
      if (!ring.fits(ready.length)) return false;
      ring.memory.set(ready, ring.end);
      ring.advance(ring.end + ready.length);
      return true;
    }
    const bytes = frameBytes(ready);
    if (bytes > MAX_FRAME_BYTES) return this.#writeTooLong(ready);
    if (!ring.fits(bytes)) return false;
    try {
      ring.advance(writeKeys(ring.memory, ring.end, ready, bytes));
    } finally {
      ready.grant[Symbol.dispose]();
    }
    return true;
  }

  #writeTooLong(ready: ReadyKeys): boolean {
    const written = this.#write(refusalFrame(ready, new Fault("TOO_MANY_KEYS")));
    if (written) ready.grant[Symbol.dispose]();
    return written;
  }

  #flush(start: number): void {
    if (this.#closed) this.#ring.discard(start);
    else this.#ring.flush(start, this.#channel);
  }

  /** Answers that come from outside in one turn of the event loop leave together at its end. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.drained();
    });
  }
}

function disposeOf(ready: Ready): void {
  if (!(ready instanceof Uint8Array)) ready.grant[Symbol.dispose]();
}
