// How long keys may be, and how many fit an answer.

import { Fault } from "../../core/fault.ts";
import type { KeySizes, SupplyRequest } from "../ports/keys.ts";
import { FIRST_OFFSET, MAX_KEY_BYTES, STEP } from "./key-id.ts";

const FRAME_PAYLOAD = 65_535;
// {"keys":[ … ],"response":"success"}
const ANSWER_CHARS = 40;
// {"session_ID":"…", and an ID of 64 characters
const SESSION_CHARS = ANSWER_CHARS + 16 + 64;
// {"key_ID":"…","key":"…"},
const KEY_CHARS = 23 + 36;

/** What may be asked of KMA-keys of `blockBytes`. */
export function keySizes(defaultBits: number, blockBytes: number): KeySizes {
  return {
    defaultBits,
    minBits: STEP * 8,
    maxBits: 8 * Math.min(MAX_KEY_BYTES, blockBytes - FIRST_OFFSET),
    maxKeys: (sizeBits) => Math.floor((FRAME_PAYLOAD - ANSWER_CHARS) / keyChars(sizeBits / 8)),
  };
}

/** Keys of a size that fit one push (0x120A) and one answer (0x1209) in a session. */
export const sessionMaxKeys = (sizeBits: number): number =>
  Math.floor((FRAME_PAYLOAD - SESSION_CHARS) / keyChars(sizeBits / 8));

/** One key of an answer with its ID. */
const keyChars = (bytes: number): number => KEY_CHARS + Math.ceil(bytes / 3) * 4;

/** Whether keys of these lengths (bytes) fit one answer; `surplus`: by how much their IDs are longer than 36 each. */
export const fitAnswer = (lengths: readonly number[], surplus = 0): boolean =>
  lengths.reduce((sum, bytes) => sum + keyChars(bytes), ANSWER_CHARS + surplus) <= FRAME_PAYLOAD;

/** What a key of `bytes` takes off its KMA-key. */
export const stepped = (bytes: number): number => Math.ceil(bytes / STEP) * STEP;

/** @throws Fault KEY_SIZE_INVALID, KEY_SIZE_NOT_BYTES, TOO_MANY_KEYS, MALFORMED_REQUEST */
export function checkSize(
  { count, sizeBits }: Pick<SupplyRequest, "count" | "sizeBits">,
  { minBits, maxBits, maxKeys }: KeySizes,
): void {
  if (sizeBits % 8 !== 0) throw new Fault("KEY_SIZE_NOT_BYTES");
  if (sizeBits < minBits || sizeBits > maxBits) {
    throw new Fault("KEY_SIZE_INVALID", {
      text: `size shall be ${minBits} to ${maxBits} bits, not ${sizeBits}`,
      details: [{ min_key_size: String(minBits), max_key_size: String(maxBits) }],
    });
  }
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new Fault("MALFORMED_REQUEST", { text: "number shall be an integer of at least 1" });
  }
  if (count > maxKeys(sizeBits)) {
    throw new Fault("TOO_MANY_KEYS", {
      text: `at most ${maxKeys(sizeBits)} keys of ${sizeBits} bits fit one answer, not ${count}`,
      details: [{ max_key_per_request: String(maxKeys(sizeBits)) }],
    });
  }
}

/** How so many bytes are made of keys: of one size, of which the last may be longer than it needs to be. */
export function keysOf(
  bytes: number,
  { maxBits }: Pick<KeySizes, "maxBits">,
): Readonly<Record<"count" | "sizeBits", number>> {
  const most = Math.min(MAX_KEY_BYTES, maxBits / 8);
  const count = Math.ceil(bytes / most);
  return { count, sizeBits: 8 * Math.max(STEP, Math.ceil(bytes / count)) };
}
