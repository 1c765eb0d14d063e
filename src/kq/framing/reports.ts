// Frames in USB HID reports of 64 bytes: cut into numbered pieces that say which is a frame's first and last.

import { CHECK_BYTES, HEADER_BYTES, MAX_FRAME_BYTES } from "../limits.ts";
import type { Coder, Decoder, Framing } from "./framing.ts";

/**
 *     0      1        2              2 + n    64
 *     +------+--------+--------------+--------+
 *     | head | number | n bytes      | zeros  |      head = 0x80 first | 0x40 last | n, 1 to 62
 *     +------+--------+--------------+--------+
 */
export const REPORT_BYTES = 64;
const FIRST = 0x80;
const LAST = 0x40;
const LENGTH = 0x3f;
const HEAD_BYTES = 2;
const ROOM_BYTES = REPORT_BYTES - HEAD_BYTES;

/** Usage page of the vendor's own that a module has, which tells it from a keyboard. */
export const REPORT_USAGE_PAGE = 0xff00;

/** The HID report descriptor of a module: 64 bytes each way, without report IDs. */
export const REPORT_DESCRIPTOR: readonly number[] = [
  [0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01],
  [0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, REPORT_BYTES],
  [0x09, 0x02, 0x81, 0x02, 0x09, 0x03, 0x91, 0x02, 0xc0],
].flat();

/** Frames in USB HID reports of 64 bytes. */
export const REPORTS: Framing = {
  pieceBytes: 64 * REPORT_BYTES,
  maxBytes: Math.ceil(MAX_FRAME_BYTES / ROOM_BYTES) * REPORT_BYTES,
  coder: reportCoder,
  decoder: (frame, damaged) => new ReportDecoder(frame, damaged),
};

function reportCoder(): Coder {
  let number = 0;
  return (frame, target, at) => {
    let out = at;
    for (let from = 0; from < frame.length; from += ROOM_BYTES) {
      const piece = frame.subarray(from, from + ROOM_BYTES);
      const last = from + ROOM_BYTES >= frame.length;
      target[out] = (from === 0 ? FIRST : 0) | (last ? LAST : 0) | piece.length;
      target[out + 1] = number;
      piece.copy(target, out + HEAD_BYTES);
      target.fill(0, out + HEAD_BYTES + piece.length, out + REPORT_BYTES);
      number = (number + 1) & 0xff;
      out += REPORT_BYTES;
    }
    return out;
  };
}

class ReportDecoder implements Decoder {
  /** Pieces of a frame whose last has not come yet. */
  readonly #gathered = Buffer.alloc(MAX_FRAME_BYTES);
  #length = 0;
  /** Number of the last report; `undefined` before the first. */
  #number: number | undefined;
  /** Reports up to the next first are of a frame that is lost. */
  #skipping = true;
  readonly #frame: (frame: Buffer) => void;
  readonly #damaged: () => void;

  constructor(frame: (frame: Buffer) => void, damaged: () => void) {
    this.#frame = frame;
    this.#damaged = damaged;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += REPORT_BYTES) this.#report(chunk.subarray(at, at + REPORT_BYTES));
  }

  reset(): void {
    this.#forget();
    this.#number = undefined;
    this.#skipping = true;
  }

  #report(report: Buffer): void {
    const [head = 0, number = 0] = report;
    const length = head & LENGTH;
    if (report.length !== REPORT_BYTES || length === 0 || length > ROOM_BYTES) {
      this.#lose();
      return;
    }
    const step = this.#number === undefined ? 1 : (number - this.#number) & 0xff;
    this.#number = number;
    if (step === 0 && (head & FIRST) === 0) return;
    if (step > 1) this.#lose();
    if ((head & FIRST) !== 0) this.#begin(step);
    if (!this.#skipping) this.#piece(report.subarray(HEAD_BYTES, HEAD_BYTES + length), (head & LAST) !== 0);
  }

  /** A frame begins; one that was begun and is not this one over again has lost its end. */
  #begin(step: number): void {
    if (this.#length > 0 && step === 1) this.#damaged();
    this.#forget();
    this.#skipping = false;
  }

  #piece(piece: Buffer, last: boolean): void {
    if (this.#length + piece.length > MAX_FRAME_BYTES) this.#lose();
    else if (last && this.#length === 0) this.#whole(piece);
    else {
      this.#length += piece.copy(this.#gathered, this.#length);
      if (last) this.#whole(this.#gathered.subarray(0, this.#length));
    }
  }

  #whole(frame: Buffer): void {
    this.#skipping = true;
    if (frame.length < HEADER_BYTES + CHECK_BYTES) this.#damaged();
    else this.#frame(frame);
    this.#forget();
  }

  #lose(): void {
    this.#forget();
    this.#skipping = true;
    this.#damaged();
  }

  #forget(): void {
    this.#gathered.fill(0, 0, this.#length);
    this.#length = 0;
  }
}
