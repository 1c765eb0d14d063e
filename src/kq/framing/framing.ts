// How frames lie on a line: as COBS in a stream of bytes, or as whatever else a driver's line wants.

/** Writes a frame to `target` from `at` on; returns the position behind it. */
export type Coder = (frame: Buffer, target: Buffer, at: number) => number;

/** From what the line delivers to whole frames; keeps no byte of those that it gave. */
export interface Decoder {
  /** Lent until this returns. */
  push(chunk: Buffer): void;
  /** Forgets a frame that was begun. */
  reset(): void;
}

/** How frames lie on a line. */
export interface Framing {
  /** Coded bytes that go out in one piece, as soon as there are so many. */
  readonly pieceBytes: number;
  /** What the largest frame takes on the line. */
  readonly maxBytes: number;
  /** For the way out of one line. */
  coder(): Coder;
  /** For the way in: `frame` gets a view, lent until it returns; `damaged` is told of what cannot be a frame. */
  decoder(frame: (frame: Buffer) => void, damaged: () => void): Decoder;
}
