// Answers of the on-demand mode as bytes: keys are laid byte by byte, refusals are JSON.

import type { Fault } from "../core/fault.ts";
import type { Grant } from "../keys/ports.ts";
import { base64Length } from "../wire/base64.ts";
import { encodeFrame, HEADER_BYTES, MAX_PAYLOAD_BYTES, writeHeader } from "../wire/frame.ts";
import { encodePayload } from "../wire/payload.ts";
import type { JsonObject } from "../wire/types.ts";
import { AK } from "./messages.ts";

//     {"keys":[{"key":"<base64>","key_ID":"<UUID>"},{"key":…}],"response":"success"}
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const FRONT = ascii('{"keys":[{"key":"');
const BEFORE_ID = ascii('","key_ID":"');
const BETWEEN = ascii('"},{"key":"');
const BACK = ascii('"}],"response":"success"}');
const ID_BYTES = 36;

/** Bytes of the 0x1203 with these keys, header and all. */
export function answerBytes(grant: Pick<Grant, "count" | "size">): number {
  let letters = 0;
  for (let index = 0; index < grant.count; index++) letters += base64Length(grant.size(index));
  return HEADER_BYTES + payloadBytes(grant.count, letters);
}

/** Whether keys of these sizes, in bytes, fit one answer. */
export function fitsAnswer(sizes: readonly number[]): boolean {
  const letters = sizes.reduce((sum, bytes) => sum + base64Length(bytes), 0);
  return payloadBytes(sizes.length, letters) <= MAX_PAYLOAD_BYTES;
}

const payloadBytes = (count: number, letters: number): number =>
  FRONT.length + letters + count * (BEFORE_ID.length + ID_BYTES) + (count - 1) * BETWEEN.length + BACK.length;

/**
 * Lays the 0x1203 of a grant at `at`, writing each of its keys; returns the position behind it.
 * @throws RangeError when it does not fit the target or a frame
 */
export function layGrant(target: Uint8Array, at: number, messageId: number, grant: Grant): number {
  const bytes = answerBytes(grant);
  const end = at + bytes;
  if (grant.count < 1 || end > target.length) throw new RangeError("the answer does not fit the target");
  let position = writeHeader(target, at, { code: AK.keyResponse.code, messageId }, bytes - HEADER_BYTES);
  for (let index = 0; index < grant.count; index++) {
    position = lay(target, position, index === 0 ? FRONT : BETWEEN);
    position = grant.writeKey(index, target, position);
    position = lay(target, position, BEFORE_ID);
    position = grant.writeId(index, target, position);
  }
  position = lay(target, position, BACK);
  if (position !== end) throw new RangeError(`an answer of ${bytes} bytes became ${position - at}`);
  return position;
}

function lay(target: Uint8Array, at: number, constant: Uint8Array): number {
  target.set(constant, at);
  return at + constant.length;
}

/** A request that is refused: its code, for the answer of its own type. */
export interface RefusedRequest {
  readonly code: number;
  readonly messageId: number;
  /** As the request named it. */
  readonly sessionId?: string;
}

/** The frame that refuses a request. A fault that tells when to retry says so in the `extension`. */
export function refusalFrame({ code, messageId, sessionId = "" }: RefusedRequest, fault: Fault): Uint8Array {
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
