// From bytes as the line delivers them to whole frames, in two fixed buffers that never keep a byte.

import { CHECK_BYTES, HEADER_BYTES, MAX_CODED_BYTES, MAX_FRAME_BYTES } from "../limits.ts";
import { decodeCobs } from "./cobs.ts";

/** Cuts a byte stream into frames; garbage ends with the next zero byte. */
export class Deframer {
  /** The beginning of a frame whose end has not come yet. */
  readonly #gathered = Buffer.alloc(MAX_CODED_BYTES);
  #length = 0;
  #overlong = false;
  readonly #plain = Buffer.alloc(MAX_FRAME_BYTES);
  readonly #frame: (frame: Buffer) => void;
  readonly #damaged: () => void;

  /** `frame` gets a view, lent until it returns; `damaged` is told of what cannot be a frame. */
  constructor(frame: (frame: Buffer) => void, damaged: () => void) {
    this.#frame = frame;
    this.#damaged = damaged;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const zero = chunk.indexOf(0, from);
      if (zero === -1) break;
      this.#ended(chunk.subarray(from, zero));
      from = zero + 1;
    }
    this.#gather(chunk.subarray(from));
  }

  /** Forgets a frame that was begun. */
  reset(): void {
    this.#gathered.fill(0, 0, this.#length);
    this.#length = 0;
    this.#overlong = false;
  }

  #gather(piece: Buffer): void {
    if (this.#overlong || this.#length + piece.length > this.#gathered.length) this.#overlong = true;
    else this.#length += piece.copy(this.#gathered, this.#length);
  }

  #ended(last: Buffer): void {
    if (this.#length === 0 && !this.#overlong) {
      if (last.length > 0) this.#decode(last);
      return;
    }
    this.#gather(last);
    if (this.#overlong) this.#damaged();
    else this.#decode(this.#gathered.subarray(0, this.#length));
    this.reset();
  }

  #decode(coded: Buffer): void {
    const length = decodeCobs(coded, this.#plain);
    if (length < HEADER_BYTES + CHECK_BYTES) this.#damaged();
    else this.#frame(this.#plain.subarray(0, length));
    this.#plain.fill(0);
  }
}
