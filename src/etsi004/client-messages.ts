// The three calls of ETSI GS QKD 004 from a client's side: requests written, answers read.

import type { StreamId, StreamQos } from "../keys/ports/streams.ts";
import { type Dialect, Fields, FrameError, requestFrame, writeU32 } from "./frames.ts";
import { STATUS } from "./messages.ts";

const KSID_BYTES = 16;
const MIME_BYTES = 256;
const NO_ID = "0".repeat(2 * KSID_BYTES);
const STATUS_BYTES = 4;

/** What a client wants of a stream; without metadata. */
export type WantedQos = Omit<StreamQos, "withFacts">;

/** OPEN_CONNECT; without an ID the box chooses one. */
export function openRequest(
  dialect: Dialect,
  call: { readonly source: string; readonly destination: string; readonly qos: WantedQos; readonly id?: StreamId },
): Uint8Array {
  const { source, destination, qos, id = NO_ID } = call;
  const numbers = [qos.chunkBytes, qos.maxBps, qos.minBps, qos.jitterBps, qos.priority, qos.timeoutMs, qos.ttlS];
  const noType = Buffer.alloc(dialect === "A" ? 1 : MIME_BYTES);
  const names = [source, destination].map((name) => Buffer.from(`${name}\0`, "utf8"));
  return requestFrame(dialect, "open", Buffer.concat([...names, u32(...numbers), noType, Buffer.from(id, "hex")]));
}

/** GET_KEY, without metadata. */
export const getKeyRequest = (dialect: Dialect, id: StreamId, index: number): Uint8Array =>
  requestFrame(dialect, "getKey", Buffer.concat([Buffer.from(id, "hex"), u32(index, 0)]));

/** The frame that asks to CLOSE a stream. */
export const closeRequest = (dialect: Dialect, id: StreamId): Uint8Array =>
  requestFrame(dialect, "close", Buffer.from(id, "hex"));

function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) writeU32(bytes, 4 * at, value);
  return bytes;
}

/** `stream` is missing where a refusal has no more than its status. */
export interface OpenReply {
  readonly status: number;
  readonly stream: { readonly id: StreamId; readonly chunkBytes: number } | undefined;
}

/** @throws FrameError */
export function readOpenReply(payload: Buffer, dialect: Dialect): OpenReply {
  const fields = new Fields(payload);
  const status = fields.u32();
  if (payload.length === STATUS_BYTES) return { status, stream: undefined };
  const chunkBytes = fields.u32();
  for (let number = 1; number < 7; number++) fields.u32();
  if (dialect === "A") fields.string();
  else fields.take(MIME_BYTES);
  const id = fields.take(KSID_BYTES).toString("hex");
  fields.end();
  return { status, stream: { id, chunkBytes } };
}

/** `key` is a view of the payload; empty in a refusal. @throws FrameError */
export function readKeyReply(
  payload: Buffer,
  dialect: Dialect,
  index: number,
): { readonly status: number; readonly key: Buffer } {
  const fields = new Fields(payload);
  const status = fields.u32();
  if (dialect === "B" && status !== STATUS.ok) return { status, key: payload.subarray(0, 0) };
  const answered = fields.u32();
  const key = fields.take(fields.u32());
  fields.take(fields.u32());
  fields.end();
  if (status === STATUS.ok && answered !== index) {
    throw new FrameError("malformed", `index ${answered} came for index ${index}`);
  }
  return { status, key };
}
