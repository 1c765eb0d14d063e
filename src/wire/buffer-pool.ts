// Assembly buffers for frames that straddle chunks: a bounded number, made when needed, zeroed when given back.

import { type Limit, limitNow } from "../core/limits.ts";
import { type Buffers, MAX_FRAME_BYTES } from "./frame.ts";

/** A bounded number of assembly buffers of 64 KiB. */
export class BufferPool implements Buffers {
  readonly #free: Uint8Array[] = [];
  readonly #max: Limit;
  readonly #bytes: number;
  #made = 0;

  /** At most `max` buffers of `bytes` each. Idle ones beyond a few are left to the garbage collector. */
  constructor(max: Limit, bytes: number = MAX_FRAME_BYTES) {
    this.#max = max;
    this.#bytes = bytes;
  }

  /** Buffers that are lent now. */
  get lent(): number {
    return this.#made - this.#free.length;
  }

  take(): Uint8Array | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made >= limitNow(this.#max)) return undefined;
    this.#made += 1;
    return new Uint8Array(this.#bytes);
  }

  give(buffer: Uint8Array, used: number): void {
    buffer.fill(0, 0, used);
    if (this.#free.length < KEPT) this.#free.push(buffer);
    else this.#made -= 1;
  }
}

const KEPT = 16;
