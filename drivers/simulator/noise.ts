// A bad line: bytes with a wrong bit, and bytes that are missing.

import type { Random } from "../../src/core/ports.ts";

/** Changes bytes on one direction of a line. */
export type Noise = (bytes: Buffer) => Buffer;

/** Each byte is flipped or dropped with its probability, which may be 0. */
export function noise(flip: number, drop: number, random: Random): Noise {
  const nextFlip = distances(flip, random);
  const nextDrop = distances(drop, random);
  return (bytes) => {
    const flipped = flip > 0 ? Buffer.from(bytes) : bytes;
    for (let at = nextFlip(bytes.length); at >= 0; at = nextFlip(bytes.length)) {
      flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(random.fraction() * 8));
    }
    const kept: Buffer[] = [];
    let from = 0;
    for (let at = nextDrop(bytes.length); at >= 0; at = nextDrop(bytes.length)) {
      kept.push(flipped.subarray(from, at));
      from = at + 1;
    }
    return from === 0 ? flipped : Buffer.concat([...kept, flipped.subarray(from)]);
  };
}

/** Positions of hits within pieces of a stream: each call gives the next in this piece, or -1 at its end. */
function distances(probability: number, random: Random): (length: number) => number {
  if (probability <= 0) return () => -1;
  const draw = () => Math.floor(Math.log(1 - random.fraction()) / Math.log(1 - probability));
  let next = draw();
  return (length) => {
    if (next >= length) {
      next -= length;
      return -1;
    }
    const at = next;
    next += 1 + draw();
    return at;
  };
}
