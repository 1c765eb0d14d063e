// ETSI GS QKD 014 6.3: the key container, written byte by byte into memory given to it.

import type { KeyFormat } from "../http/exchange.ts";
import type { Grant } from "../keys/ports/keys.ts";

const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

const OPEN = ascii('{"keys":[');
const COMMA = ascii(",");
const BEFORE_ID = ascii('{"key_ID":"');
const BEFORE_KEY = ascii('","key":"');
const AFTER_KEY = ascii('"}');
const CLOSE = ascii("]}");
const ID_BYTES = 36;
const FRAME_BYTES = BEFORE_ID.length + BEFORE_KEY.length + AFTER_KEY.length;

/** Bytes of key `index` in the container, with the comma or bracket before it and the end behind the last. */
export function keyBytes(grant: Grant, index: number): number {
  const before = index === 0 ? OPEN.length : COMMA.length;
  const behind = index === grant.count - 1 ? CLOSE.length : 0;
  const id = grant.idBytes?.(index) ?? ID_BYTES;
  return before + FRAME_BYTES + id + 4 * Math.ceil(grant.size(index) / 3) + behind;
}

/** `Content-Length` of the whole container. */
export function containerBytes(grant: Grant): number {
  let bytes = 0;
  for (let index = 0; index < grant.count; index++) bytes += keyBytes(grant, index);
  return bytes;
}

/** Lays key `index` at `at`: exactly `keyBytes`. Returns the position behind it. */
export function writeEntry(grant: Grant, index: number, target: Uint8Array, at: number): number {
  let end = write(index === 0 ? OPEN : COMMA, target, at);
  end = write(BEFORE_ID, target, end);
  end = grant.writeId(index, target, end);
  end = write(BEFORE_KEY, target, end);
  end = grant.writeKey(index, target, end);
  end = write(AFTER_KEY, target, end);
  return index === grant.count - 1 ? write(CLOSE, target, end) : end;
}

/** How keys lie in the answer, for `sendKeys`. */
export const CONTAINER: KeyFormat = { totalBytes: containerBytes, keyBytes, writeEntry };

function write(bytes: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  return at + bytes.length;
}
