// A one-time pad, gathered from segments of open blocks, which are zero from then on.
//
//   segments  | 7 bytes | 32 KiB, wherever they lie  | 25 |
//   scratch   | tag key, 32 | mask, as long as the key    |

import { hasZeroWord } from "./xor.ts";

/** key-protocol 2: what of a pad keys the tag. */
export const PAD_KEY_BYTES = 32;

/** One one-time pad of 32 bytes and as many as it masks; zero after use. */
export interface Pad {
  /** 32 bytes, the key of the one-time tag. */
  readonly tagKey: Uint8Array;
  readonly mask: Uint8Array;
}

/**
 * Lends the pad for a key of `length` bytes until `use` returns; segments and scratch are zero then.
 * @throws RangeError when the segments overlap or have another length, and nothing has changed; Error when a part of them
 * is zero
 */
export function withPad<T>(
  scratch: Uint8Array,
  segments: readonly Uint8Array[],
  length: number,
  use: (pad: Pad) => T,
): T {
  const bytes = PAD_KEY_BYTES + length;
  check(segments, bytes);
  const whole = scratch.subarray(0, bytes);
  try {
    gather(segments, whole);
    if (hasZeroWord(whole)) throw new Error("a pad was used before, or is no key: part of it is zero");
    return use({ tagKey: whole.subarray(0, PAD_KEY_BYTES), mask: whole.subarray(PAD_KEY_BYTES) });
  } finally {
    whole.fill(0);
  }
}

function gather(segments: readonly Uint8Array[], whole: Uint8Array): void {
  let at = 0;
  for (const segment of segments) {
    whole.set(segment, at);
    segment.fill(0);
    at += segment.length;
  }
}

function check(segments: readonly Uint8Array[], bytes: number): void {
  const given = segments.reduce((sum, segment) => sum + segment.length, 0);
  if (given !== bytes) throw new RangeError(`a pad of ${given} bytes where ${bytes} are needed`);
  // All lie in one region of memory.
  const sorted = [...segments].sort((one, other) => one.byteOffset - other.byteOffset);
  for (const [index, segment] of sorted.entries()) {
    const next = sorted[index + 1];
    if (next !== undefined && segment.byteOffset + segment.length > next.byteOffset) {
      throw new RangeError("a part of a pad is named twice");
    }
  }
}
