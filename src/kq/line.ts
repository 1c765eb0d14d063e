// One attached line as an end writes to it: frames are coded into one buffer, which goes out in large pieces.

import { codedBytes, encodeCobs } from "./cobs.ts";
import { MAX_FRAME_BYTES } from "./limits.ts";

/** Takes bytes, which are its own from then on; `false` when it wants no more before `drained` is called. */
export type Write = (bytes: Uint8Array) => boolean;

const PIECE_BYTES = 32_768;

export class Line {
  readonly #out = Buffer.alloc(PIECE_BYTES + codedBytes(MAX_FRAME_BYTES) + 1);
  #length = 0;
  #writable = true;
  readonly #write: Write;

  constructor(write: Write) {
    this.#write = write;
  }

  /** Whether it takes frames now. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Codes one frame; goes out with `flush`, or by itself when the piece is full. Only while `writable`. */
  put(frame: Buffer): void {
    this.#length = encodeCobs(frame, this.#out, this.#length);
    if (this.#length >= PIECE_BYTES) this.flush();
  }

  flush(): void {
    if (this.#length === 0) return;
    const piece = Buffer.from(this.#out.subarray(0, this.#length));
    this.#out.fill(0, 0, this.#length);
    this.#length = 0;
    this.#writable = this.#write(piece);
  }

  drained(): void {
    this.#writable = true;
  }
}
