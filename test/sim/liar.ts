// What a lying key manager does to the frames that it sends: it changes a relay, or sends an old one again.

import { KX } from "../../src/kx/payload/messages.ts";
import type { Dice } from "./dice.ts";
import type { Lie } from "./wire.ts";

export const HEADER_BYTES = 10;

interface RawFrame {
  readonly code: number;
  readonly bytes: Buffer;
}

/** The frames of one write, which has whole ones only. */
export function framesOf(bytes: Buffer): RawFrame[] {
  const frames: RawFrame[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const end = at + HEADER_BYTES + bytes.readUInt16BE(at + 8);
    frames.push({ code: bytes.readUInt16BE(at + 6), bytes: bytes.subarray(at, end) });
    at = end;
  }
  return frames;
}

export const isRelay = ({ code }: RawFrame): boolean => code === KX.keyRelay.code;

const DIGIT = /[0-9]/;
const LETTER = /[A-Za-z]/;

/** Changes one character of some relays, so that the frame still is one. */
export function tellLies(dice: Dice): Lie {
  return (bytes) => {
    const copy = Buffer.from(bytes);
    for (const frame of framesOf(copy)) {
      if (!isRelay(frame) || dice.once(2)) continue;
      const at = dice.between(HEADER_BYTES, frame.bytes.length - 1);
      const letter = String.fromCharCode(frame.bytes[at] ?? 0);
      if (DIGIT.test(letter)) frame.bytes[at] = 0x30 + dice.between(0, 9);
      else if (LETTER.test(letter)) frame.bytes[at] = 0x61 + dice.between(0, 25);
    }
    return [copy];
  };
}

/** The frame under a new MessageID. */
export function wrapReplay(frame: Buffer | undefined, dice: Dice): Buffer | undefined {
  if (frame === undefined) return undefined;
  const copy = Buffer.from(frame);
  copy.writeUInt32BE(0xf0000000 + dice.between(0, 0xffffff), 2);
  return copy;
}
