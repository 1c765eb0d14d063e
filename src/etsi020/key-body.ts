// Bodies with keys: gathered in locked memory as they arrive, and written there before they leave. No key becomes a string.

import type { IncomingMessage } from "node:http";
import type { Part, Parts } from "../http/parts.ts";
import type { BorderDeparture } from "../keys/ports/borders.ts";
import { base64Length } from "../wire/base64.ts";
import { containerEnd } from "./bodies.ts";

/** What was gathered of a body; `bytes` are undefined when it was longer than its memory. */
export interface KeyBody {
  readonly bytes: Uint8Array | undefined;
  /** Zeroes it and gives the memory back. Once. */
  release(): void;
}

/** Gathers a body; what node:http lent is zeroed at once. `then` is not called when the client goes away before its end. */
export function readKeyBody(request: IncomingMessage, parts: Parts, then: (body: KeyBody) => void): void {
  parts.take((part) => {
    if (request.destroyed) part.release(0);
    else gather(request, part, then);
  });
}

function gather(request: IncomingMessage, part: Part, then: (body: KeyBody) => void): void {
  let length = 0;
  let isLent = false;
  const release = (): void => part.release(Math.min(length, part.bytes.length));
  request.on("data", (chunk: Uint8Array) => {
    if (length + chunk.length <= part.bytes.length) part.bytes.set(chunk, length);
    // Of what is too long nothing is looked at.
    else part.bytes.fill(0);
    length += chunk.length;
    chunk.fill(0);
  });
  request.once("end", () => {
    isLent = true;
    then({ bytes: length > part.bytes.length ? undefined : part.bytes.subarray(0, length), release });
  });
  request.once("close", () => {
    if (!isLent) release();
  });
}

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
