// How long keys may be, and how many fit an answer.

import { FIRST_OFFSET, MAX_KEY_BYTES, STEP } from "./key-id.ts";
import type { KeySizes } from "./ports.ts";

const FRAME_PAYLOAD = 65_535;
// {"keys":[ … ],"response":"success"}
const ANSWER_CHARS = 40;
// {"key_ID":"…","key":"…"},
const KEY_CHARS = 23 + 36;

/** What may be asked of KMA-keys of `blockBytes`. */
export function keySizes(defaultBits: number, blockBytes: number): KeySizes {
  return {
    defaultBits,
    minBits: STEP * 8,
    maxBits: 8 * Math.min(MAX_KEY_BYTES, blockBytes - FIRST_OFFSET),
    maxKeys: (sizeBits) => {
      const base64 = Math.ceil(sizeBits / 24) * 4;
      return Math.floor((FRAME_PAYLOAD - ANSWER_CHARS) / (KEY_CHARS + base64));
    },
  };
}

/** What a key of `bytes` takes off its KMA-key. */
export const stepped = (bytes: number): number => Math.ceil(bytes / STEP) * STEP;
