// Key IDs that certify themselves: UUIDv8 of serial, offset, length and tag (key-protocol 3).
//
//   serial (40) · offset / 8 (12) · length in bytes (12) · tag (58), most significant first, around version and variant

/** The largest serial: 40 bits. */
export const MAX_SERIAL = 2 ** 40 - 1;
/** Bytes of the shortest key, and the steps in which keys are carved. */
export const STEP = 8;
/** Where carving begins in a KMA-key: behind hop key, end-to-end key and key-ID key. */
export const FIRST_OFFSET = 96;
/** The most bytes that the length field and the step of 8 allow. */
export const MAX_KEY_BYTES = 4088;

/** What a key ID names: a range of a KMA-key, and the tag over it (key-protocol 3). */
export interface KeyIdParts {
  readonly serial: number;
  /** In bytes, a multiple of 8. */
  readonly offset: number;
  readonly length: number;
  /** The first 58 bits of the tag, in 8 bytes with 6 zero bits at the end. */
  readonly tag: Uint8Array;
}

const HEX = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
const ID_CHARS = 36;
const HYPHEN = 0x2d;
/** Bytes of a UUID that a hyphen stands before, 4, 6, 8 and 10, as bits: looked up in a set, they took half the time. */
const HYPHENS = 0b101_0101_0000;
const hasHyphen = (index: number): boolean => ((HYPHENS >> index) & 1) === 1;
const NO_TAG = new Uint8Array(8);
const scratch = new Uint8Array(16);

/** Writes 36 ASCII bytes at `at` and returns the position behind them. Of `tag` the first 58 bits count. */
export function writeKeyId(
  parts: Pick<KeyIdParts, "serial" | "offset" | "length">,
  tag: Uint8Array,
  target: Uint8Array,
  at: number,
): number {
  writeBits(parts, tag);
  let position = at;
  for (let index = 0; index < 16; index++) {
    if (hasHyphen(index)) target[position++] = HYPHEN;
    const byte = scratch[index] ?? 0;
    target[position++] = HEX[byte >> 4] ?? 0;
    target[position++] = HEX[byte & 15] ?? 0;
  }
  return position;
}

/** Writes an ID that was read, in lower case, at `at` and returns the position behind it. */
export function copyKeyId(id: string, target: Uint8Array, at: number): number {
  // Digits and hyphens have this bit, and it makes a letter a small one.
  for (let index = 0; index < ID_CHARS; index++) target[at + index] = id.charCodeAt(index) | 0x20;
  return at + ID_CHARS;
}

// bits 0–47: serial, offset/8 high 8 · 48–51: version 8 · offset/8 low 4, length high 8 · 64–65: variant · length low 4, tag
function writeBits(parts: Pick<KeyIdParts, "serial" | "offset" | "length">, tag: Uint8Array): void {
  const { serial, length } = parts;
  const step = parts.offset / STEP;
  scratch[0] = Math.floor(serial / 2 ** 32);
  scratch[1] = (serial >>> 24) & 255;
  scratch[2] = (serial >>> 16) & 255;
  scratch[3] = (serial >>> 8) & 255;
  scratch[4] = serial & 255;
  scratch[5] = step >> 4;
  scratch[6] = 0x80 | (step & 15);
  scratch[7] = length >> 4;
  scratch[8] = 0x80 | ((length & 15) << 2) | ((tag[0] ?? 0) >> 6);
  for (let index = 9; index < 16; index++) {
    scratch[index] = ((tag[index - 9] ?? 0) << 2) | ((tag[index - 8] ?? 0) >> 6);
  }
}

const VERSION = 0x80;
const VARIANT = 0x80;
/** By the code of a character: the value of its digit, or `NO_DIGIT`. */
const NO_DIGIT = 0xff;
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (const [value, digit] of HEX.entries()) {
  DIGITS[digit] = value;
  DIGITS[String.fromCharCode(digit).toUpperCase().charCodeAt(0)] = value;
}

/** The parts of a key ID, in upper or lower case (RFC 9562 4); `undefined` for other spellings and versions than 8. */
export function parseKeyId(text: string): KeyIdParts | undefined {
  if (!readBytes(text)) return undefined;
  const at = (index: number): number => scratch[index] ?? 0;
  if ((at(6) & 0xf0) !== VERSION || (at(8) & 0xc0) !== VARIANT) return undefined;
  const tag = new Uint8Array(8);
  for (let index = 0; index < 8; index++) tag[index] = (at(8 + index) << 6) | (index < 7 ? at(9 + index) >> 2 : 0);
  return {
    serial: at(0) * 2 ** 32 + at(1) * 2 ** 24 + ((at(2) << 16) | (at(3) << 8) | at(4)),
    offset: ((at(5) << 4) | (at(6) & 15)) * STEP,
    length: (at(7) << 4) | ((at(8) >> 2) & 15),
    tag,
  };
}

/** Reads the 16 bytes of a UUID into `scratch`; false for any other spelling than hex with hyphens. */
function readBytes(text: string): boolean {
  if (text.length !== ID_CHARS) return false;
  let position = 0;
  for (let index = 0; index < 16; index++) {
    if (hasHyphen(index) && text.charCodeAt(position++) !== HYPHEN) return false;
    const high = DIGITS[text.charCodeAt(position++)] ?? NO_DIGIT;
    const low = DIGITS[text.charCodeAt(position++)] ?? NO_DIGIT;
    if ((high | low) > 15) return false;
    scratch[index] = (high << 4) | low;
  }
  return true;
}

/** The name of a whole KMA-key on Kx: offset, length and tag 0. */
export function kmaKeyId(serial: number): string {
  const text = Buffer.alloc(36);
  writeKeyId({ serial, offset: 0, length: 0 }, NO_TAG, text, 0);
  return text.toString("latin1");
}

/** The serial in the name of a whole KMA-key, or `undefined` when it is none. */
export function kmaSerial(keyId: string): number | undefined {
  const parts = parseKeyId(keyId);
  if (parts === undefined || parts.offset !== 0 || parts.length !== 0) return undefined;
  return parts.tag.every((byte) => byte === 0) ? parts.serial : undefined;
}

/** Whether the first 58 bits agree, in constant time. */
export function sameTag(carried: Uint8Array, computed: Uint8Array): boolean {
  let difference = 0;
  for (let index = 0; index < 7; index++) difference |= (carried[index] ?? 0) ^ (computed[index] ?? 0);
  return (difference | ((carried[7] ?? 0) ^ ((computed[7] ?? 0) & 0xc0))) === 0;
}
