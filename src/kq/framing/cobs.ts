// COBS: bytes without a zero, so that a zero ends every frame and garbage ends with the next one. What comes is gathered in
// two fixed buffers that never keep a byte.

import { CHECK_BYTES, HEADER_BYTES, MAX_CODED_BYTES, MAX_FRAME_BYTES } from "../limits.ts";
import type { Decoder, Framing } from "./framing.ts";

/** Bytes that `length` plain bytes take at most, without the final zero. */
export const codedBytes = (length: number): number => length + Math.ceil(length / 254) + 1;

/** Lines that carry a stream of bytes: a zero ends each frame. */
export const COBS: Framing = {
  pieceBytes: 32_768,
  maxBytes: codedBytes(MAX_FRAME_BYTES) + 1,
  coder: () => encodeCobs,
  decoder: (frame, damaged) => new Deframer(frame, damaged),
};

/** Writes `plain` coded, and the final zero, to `target` from `at` on; returns the position behind it. */
export function encodeCobs(plain: Buffer, target: Buffer, at: number): number {
  let out = at;
  let from = 0;
  for (;;) {
    const zero = plain.indexOf(0, from);
    const end = zero === -1 ? plain.length : zero;
    while (end - from >= 254) {
      target[out] = 255;
      target.set(plain.subarray(from, from + 254), out + 1);
      out += 255;
      from += 254;
      if (from === plain.length) return close(target, out);
    }
    target[out] = end - from + 1;
    target.set(plain.subarray(from, end), out + 1);
    out += end - from + 1;
    if (zero === -1) return close(target, out);
    from = zero + 1;
  }
}

function close(target: Buffer, at: number): number {
  target[at] = 0;
  return at + 1;
}

/** Writes `coded` (without its final zero) plain to `target`; returns the length, or -1 if it is no COBS or does not fit. */
export function decodeCobs(coded: Buffer, target: Buffer): number {
  let out = 0;
  let at = 0;
  while (at < coded.length) {
    const code = coded[at] ?? 0;
    const end = at + code;
    if (code === 0 || end > coded.length || out + code - 1 > target.length) return -1;
    coded.copy(target, out, at + 1, end);
    out += code - 1;
    if (code < 255 && end < coded.length) target[out++] = 0;
    at = end;
  }
  return out <= target.length ? out : -1;
}

/** Cuts a byte stream into frames; garbage ends with the next zero byte. */
export class Deframer implements Decoder {
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
