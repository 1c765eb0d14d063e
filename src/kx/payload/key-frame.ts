// A frame with keys: its text is there, its letters are written when it leaves, straight into what is written.

import { base64Length, encodeBase64 } from "../../wire/base64.ts";
import { HEADER_BYTES, writeHeader } from "../../wire/frame.ts";

/** Bytes that are written where they are wanted, when they are wanted. */
export interface KeyFrame {
  /** Bytes. */
  readonly length: number;
  /** Lays all of it at `at`; returns the position behind it. */
  write(target: Uint8Array, at: number): number;
}

/** One entry of `keys`: its letters in base64, and its other members, `key_ID` among them. */
export interface FrameKey {
  readonly letters: KeyFrame;
  readonly members: { readonly key_ID: string; readonly key_extension?: object };
}

/** The base64 of bytes that stay where they are until then. */
export const lettersOf = (bytes: Uint8Array): KeyFrame => ({
  length: base64Length(bytes.length),
  write: (target, at) => encodeBase64(bytes, 0, bytes.length, target, at),
});

/** A payload with the members of `head`, then `keys`, then the members of `tail`. */
export function keysPayload(head: object, entries: readonly FrameKey[], tail: object): KeyFrame {
  const pieces: KeyFrame[] = [text(`${JSON.stringify(head).slice(0, -1)},"keys":[`)];
  for (const [index, { letters, members }] of entries.entries()) {
    pieces.push(text(`${index === 0 ? "" : ","}{"key":"`), letters, text(`",${JSON.stringify(members).slice(1)}`));
  }
  const rest = JSON.stringify(tail).slice(1);
  return joined([...pieces, text(rest === "}" ? "]}" : `],${rest}`)]);
}

/** A whole frame. @throws RangeError when the payload fits none */
export function keyFrame(code: number, messageId: number, payload: KeyFrame): KeyFrame {
  const header = new Uint8Array(HEADER_BYTES);
  writeHeader(header, 0, { code, messageId }, payload.length);
  return joined([plain(header), payload]);
}

/** A frame without keys, copied when it leaves. */
export const plain = (bytes: Uint8Array): KeyFrame => ({
  length: bytes.length,
  write(target, at) {
    target.set(bytes, at);
    return at + bytes.length;
  },
});

const text = (piece: string): KeyFrame => plain(Buffer.from(piece, "utf8"));

const joined = (pieces: readonly KeyFrame[]): KeyFrame => ({
  length: pieces.reduce((sum, { length }) => sum + length, 0),
  write: (target, at) => pieces.reduce((position, piece) => writeOne(piece, target, position), at),
});

/** @throws RangeError when a piece is not as long as it said: nothing of such a frame may leave */
function writeOne(piece: KeyFrame, target: Uint8Array, at: number): number {
  const end = piece.write(target, at);
  if (end !== at + piece.length) throw new RangeError(`a piece of ${piece.length} bytes was written as ${end - at}`);
  return end;
}
