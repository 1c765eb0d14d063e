// One attached line as an end writes to it: frames are coded into one buffer, which goes out in large pieces.

import { COBS } from "./framing/cobs.ts";
import type { Coder, Framing } from "./framing/framing.ts";

/** Takes bytes, which are its own from then on; `false` when it wants no more before `drained` is called. */
export type Write = (bytes: Uint8Array) => boolean;

/** One attached line as an end writes to it. */
export class Line {
  readonly #out: Buffer;
  readonly #pieceBytes: number;
  readonly #coder: Coder;
  #length = 0;
  #writable = true;
  readonly #write: Write;

  constructor(write: Write, framing: Framing = COBS) {
    this.#write = write;
    this.#pieceBytes = framing.pieceBytes;
    this.#out = Buffer.alloc(framing.pieceBytes + framing.maxBytes);
    this.#coder = framing.coder();
  }

  /** Whether it takes frames now. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Codes one frame; goes out with `flush`, or by itself when the piece is full. Only while `writable`. */
  put(frame: Buffer): void {
    this.#length = this.#coder(frame, this.#out, this.#length);
    if (this.#length >= this.#pieceBytes) this.flush();
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
