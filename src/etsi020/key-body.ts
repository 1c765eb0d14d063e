// Bodies with keys as they leave: written in locked memory. No key becomes a string.

import type { BorderDeparture } from "../keys/ports/borders.ts";
import { base64Length } from "../wire/base64.ts";
import { containerEnd } from "./bodies.ts";

const ascii = (text: string): Uint8Array => Buffer.from(text, "latin1");

const OPEN = ascii('{"keys":[');
const COMMA = ascii(",");
const BEFORE_ID = ascii('{"key_id":"');
const BEFORE_VALUE = ascii('","value":"');
const AFTER_VALUE = ascii('"}');

/** Bytes of an `ext_key_container`. */
export function containerBytes(departure: BorderDeparture, callback: string | undefined): number {
  const { keys } = departure;
  const around = BEFORE_ID.length + BEFORE_VALUE.length + AFTER_VALUE.length + COMMA.length;
  const entries = keys.reduce((sum, { keyId, length }) => sum + around + keyId.length + base64Length(length), 0);
  return OPEN.length + entries - COMMA.length + Buffer.byteLength(containerEnd(departure, callback));
}

/** Writes an `ext_key_container` at `at`: exactly `containerBytes`. Returns the position behind it. */
export function writeContainer(
  departure: BorderDeparture,
  callback: string | undefined,
  writeKey: (index: number, target: Uint8Array, at: number) => number,
  { target, at }: { readonly target: Uint8Array; readonly at: number },
): number {
  let end = write(OPEN, target, at);
  for (const [index, { keyId }] of departure.keys.entries()) {
    if (index > 0) end = write(COMMA, target, end);
    end = write(BEFORE_ID, target, end);
    end = write(ascii(keyId), target, end);
    end = write(BEFORE_VALUE, target, end);
    end = writeKey(index, target, end);
    end = write(AFTER_VALUE, target, end);
  }
  return write(ascii(containerEnd(departure, callback)), target, end);
}

function write(bytes: Uint8Array, target: Uint8Array, at: number): number {
  target.set(bytes, at);
  return at + bytes.length;
}
