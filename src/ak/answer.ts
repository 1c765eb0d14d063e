// Frames of a KM as bytes: those with keys are written byte by byte, refusals are JSON.

import type { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { SessionId } from "../keys/ports/sessions.ts";
import { base64Length } from "../wire/base64.ts";
import { encodeFrame, HEADER_BYTES, MAX_PAYLOAD_BYTES, writeHeader } from "../wire/frame.ts";
import { encodePayload } from "../wire/payload.ts";
import type { JsonObject } from "../wire/types.ts";
import { AK } from "./messages.ts";

//     0x1203                    {"keys":[{"key":"<base64>","key_ID":"<UUID>"},{"key":…}],"response":"success"}
//     0x1209  {"session_ID":"…","keys":[{"key":"<base64>","key_ID":"<UUID>"},{"key":…}],"response":"success"}
//     0x120A  {"session_ID":"…","keys":[{"key":"<base64>","key_ID":"<UUID>"},{"key":…}]}
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const FRONT = '"keys":[{"key":"';
const BEFORE_ID = ascii('","key_ID":"');
const BETWEEN = ascii('"},{"key":"');
const BACK = ascii('"}],"response":"success"}');
const PUSH_BACK = ascii('"}]}');
const ID_BYTES = 36;

/** What a frame with keys, or a refusal instead, is the answer to; or a push, with the code 0x120A itself. */
export interface Occasion {
  readonly code: number;
  readonly messageId: number;
  /** Of 0x2108 and 0x120A. */
  readonly sessionId: string;
}

/** Keys that are ready to leave. */
export interface ReadyKeys extends Occasion {
  readonly grant: Grant;
}

/** What a frame has around its keys. */
interface Wrapping {
  readonly code: number;
  readonly front: Uint8Array;
  readonly back: Uint8Array;
}

const ON_DEMAND: Wrapping = { code: AK.keyResponse.code, front: ascii(`{${FRONT}`), back: BACK };

const frontOf = (sessionId: string): Uint8Array => Buffer.from(`{"session_ID":${JSON.stringify(sessionId)},${FRONT}`);

function wrappingOf(code: number, sessionId: string): Wrapping {
  if (code === AK.sessionKeyRequest.code) {
    return { code: AK.sessionKeyResponse.code, front: frontOf(sessionId), back: BACK };
  }
  if (code === AK.proactiveSupply.code) return { code, front: frontOf(sessionId), back: PUSH_BACK };
  return ON_DEMAND;
}

/** Bytes of the frame with these keys, header and all. */
export function frameBytes({ code, sessionId, grant }: Omit<ReadyKeys, "messageId">): number {
  return HEADER_BYTES + bytesOf(grant, wrappingOf(code, sessionId));
}

/** Whether so many keys of `bytes` each fit one 0x1209 of the session, and one 0x120A, which is shorter. */
export function fitsSessionAnswer(sessionId: string, count: number, bytes: number): boolean {
  const wrapping = wrappingOf(AK.sessionKeyRequest.code, sessionId);
  return payloadBytes(count, count * base64Length(bytes), wrapping) <= MAX_PAYLOAD_BYTES;
}

function bytesOf(grant: Grant, wrapping: Wrapping): number {
  let letters = 0;
  for (let index = 0; index < grant.count; index++) {
    letters += base64Length(grant.size(index)) + idBytes(grant, index) - ID_BYTES;
  }
  return payloadBytes(grant.count, letters, wrapping);
}

/** Bytes of the ID of key `index`. */
export const idBytes = (grant: Grant, index: number): number => grant.idBytes?.(index) ?? ID_BYTES;

const payloadBytes = (count: number, letters: number, { front, back }: Wrapping): number =>
  front.length + letters + count * (BEFORE_ID.length + ID_BYTES) + (count - 1) * BETWEEN.length + back.length;

/**
 * Lays the frame with the keys of a grant, of so many bytes, at `at`, writing each of them; returns the position behind.
 * @throws RangeError when it does not fit the target or a frame
 */
export function writeKeys(target: Uint8Array, at: number, ready: ReadyKeys, bytes = frameBytes(ready)): number {
  const { messageId, grant } = ready;
  const wrapping = wrappingOf(ready.code, ready.sessionId);
  const end = at + bytes;
  if (grant.count < 1 || end > target.length) throw new RangeError("the keys do not fit the target");
  let position = writeHeader(target, at, { code: wrapping.code, messageId }, bytes - HEADER_BYTES);
  for (let index = 0; index < grant.count; index++) {
    position = write(target, position, index === 0 ? wrapping.front : BETWEEN);
    position = grant.writeKey(index, target, position);
    position = write(target, position, BEFORE_ID);
    position = grant.writeId(index, target, position);
  }
  position = write(target, position, wrapping.back);
  if (position !== end) throw new RangeError(`a frame of ${end - at} bytes became ${position - at}`);
  return position;
}

/** Byte by byte: for so few, `set` would take longer. */
function write(target: Uint8Array, at: number, constant: Uint8Array): number {
  const { length } = constant;
  for (let index = 0; index < length; index++) target[at + index] = constant[index] ?? 0;
  return at + length;
}

/** The 0x1205 that names a new session. */
export const openedFrame = (messageId: number, sessionId: SessionId, sourceKm: KmId): Uint8Array =>
  encodeFrame(
    AK.sessionCreationResponse.code,
    messageId,
    encodePayload({ session_ID: sessionId, response: "success", source_KM_ID: sourceKm }),
  );

/** The frame that refuses a request. A fault that tells when to retry says so in the `extension`. */
export function refusalFrame({ code, messageId, sessionId }: Occasion, fault: Fault): Uint8Array {
  const { response, retryAfterMs } = fault;
  const extension = retryAfterMs === undefined ? {} : { extension: [{ name: "qkm_retry_after", ms: retryAfterMs }] };
  const { row, members } = SHAPES[code] ?? SHAPES_OF_KEYS;
  return encodeFrame(row.code, messageId, encodePayload({ ...members(sessionId), response, ...extension }));
}

interface Shape {
  readonly row: { readonly code: number };
  members(sessionId: string): JsonObject;
}

const SHAPES_OF_KEYS: Shape = { row: AK.keyResponse, members: () => ({ keys: [] }) };

/** By the request's code: what its answer has beside `response`. */
const SHAPES: Readonly<Record<number, Shape>> = {
  [AK.sessionCreation.code]: { row: AK.sessionCreationResponse, members: () => ({ session_ID: "" }) },
  [AK.sessionKeyRequest.code]: {
    row: AK.sessionKeyResponse,
    members: (sessionId) => ({ session_ID: sessionId, keys: [] }),
  },
};
