// The two answers with secrets, written byte by byte: {"keyId":"…","key":"…"} and {"randomStr":"…","minentropy":…}.

import { randomFillSync } from "node:crypto";
import { Fault } from "../core/fault.ts";
import type { KeyFormat } from "../http/exchange.ts";
import type { Grant } from "../keys/ports/keys.ts";
import { encodeBase64 } from "../wire/base64.ts";
import { decodeInPlace, encodeHexInPlace } from "../wire/raw-key.ts";

const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

const BEFORE_ID = ascii('{"keyId":"');
const BEFORE_KEY = ascii('","key":"');
const AFTER_KEY = ascii('"}');
const BEFORE_RANDOM = ascii('{"randomStr":"');
const BEFORE_ENTROPY = '","minentropy":';
const UUID_CHARS = 36;
const ID_DIGITS = 32;
const HYPHEN = 0x2d;

const keyBytes = (grant: Grant): number =>
  BEFORE_ID.length + ID_DIGITS + BEFORE_KEY.length + 2 * grant.size(0) + AFTER_KEY.length;

/** One key: its ID without hyphens, both as digits. */
export const KEY_OBJECT: KeyFormat = {
  totalBytes: keyBytes,
  keyBytes,
  writeEntry(grant, index, target, at) {
    let end = write(BEFORE_ID, target, at);
    end = writeId(grant, index, target, end);
    end = write(BEFORE_KEY, target, end);
    end = writeDigits(grant, index, target, end);
    return write(AFTER_KEY, target, end);
  },
};

/** @throws Fault KEY_NOT_FOUND: keys of a peer of another make may have IDs that are no UUIDs */
function writeId(grant: Grant, index: number, target: Uint8Array, at: number): number {
  if ((grant.idBytes?.(index) ?? UUID_CHARS) !== UUID_CHARS) throw new Fault("KEY_NOT_FOUND");
  const end = grant.writeId(index, target, at);
  let to = at;
  for (let from = at; from < end; from++) {
    const letter = target[from] ?? 0;
    if (letter !== HYPHEN) target[to++] = letter;
  }
  return to;
}

/** The base64 is written far enough behind that the digits never overtake the bytes. */
function writeDigits(grant: Grant, index: number, target: Uint8Array, at: number): number {
  const from = at + grant.size(index);
  const end = decodeInPlace(target, from, grant.writeKey(index, target, from));
  return encodeHexInPlace(target, from, end, at);
}

const entropyEnd = (grant: Grant): string => `${BEFORE_ENTROPY}${8 * grant.size(0)}}`;
const entropyBytes = (grant: Grant): number =>
  BEFORE_RANDOM.length + 2 * grant.size(0) + Buffer.byteLength(entropyEnd(grant));

/** Random bytes, as digits, and how many bits they are. */
export const ENTROPY_OBJECT: KeyFormat = {
  totalBytes: entropyBytes,
  keyBytes: entropyBytes,
  writeEntry(grant, index, target, at) {
    const end = writeDigits(grant, index, target, write(BEFORE_RANDOM, target, at));
    return write(ascii(entropyEnd(grant)), target, end);
  },
};

/** Random bytes of the system as if they were a key: made where they leave from. */
export const entropyGrant = (bits: number): Grant => ({
  count: 1,
  size: () => bits / 8,
  writeId: (_index, _target, at) => at,
  writeKey(_index, target, at) {
    // Behind the letters, which are longer than the bytes.
    const bytes = target.subarray(at + bits, at + bits + bits / 8);
    randomFillSync(bytes);
    const end = encodeBase64(bytes, 0, bytes.length, target, at);
    bytes.fill(0);
    return end;
  },
  [Symbol.dispose]: () => {},
});

function write(bytes: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  return at + bytes.length;
}
