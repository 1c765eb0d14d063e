// The three calls of ETSI GS QKD 004 as payloads: requests read, answers without key written.

import type { FaultCode } from "../core/fault.ts";
import type { StreamId, StreamQos } from "../keys/ports/streams.ts";
import { type Dialect, Fields, HEADER_BYTES, type Service, writeHeader, writeU32 } from "./frames.ts";

/** Status of an answer (004 Table 5). */
export const STATUS = {
  ok: 0,
  /** OPEN_CONNECT succeeded, the other application is not there yet. */
  alone: 1,
  insufficientKey: 2,
  /** GET_KEY: the other application is not there; or the Key_stream_ID is unknown. */
  peerNotConnected: 3,
  noConnection: 4,
  idInUse: 5,
  timeout: 6,
  /** The answer has the nearest that can be had. */
  qosNotMet: 7,
  /** The answer has the size needed. */
  metadataTooSmall: 8,
} as const;

const KSID_BYTES = 16;
const MIME_BYTES = 256;
const JSON_TYPE = "application/json";
const NO_ID = "0".repeat(2 * KSID_BYTES);

/** OPEN_CONNECT (ETSI GS QKD 004, clause 6). */
export interface OpenRequest {
  readonly source: string;
  readonly destination: string;
  readonly qos: StreamQos;
  readonly mimeType: string;
  /** Undefined when the KM is to choose it. */
  readonly id: StreamId | undefined;
}

/** GET_KEY: a chunk of a stream by its index. */
export interface GetKeyRequest {
  readonly id: StreamId;
  readonly index: number;
  /** Room for metadata, in bytes; 0 for none. */
  readonly metadataBytes: number;
  /** Wire A: what the room holds. */
  readonly metadata: Buffer;
}

/** @throws FrameError */
export function readOpen(payload: Buffer, dialect: Dialect): OpenRequest {
  const fields = new Fields(payload);
  const [source, destination] = [fields.string(), fields.string()];
  const [chunkBytes, maxBps, minBps, jitterBps, priority, timeoutMs, ttlS] = Array.from({ length: 7 }, () =>
    fields.u32(),
  );
  const mimeType =
    dialect === "A" ? fields.string() : (fields.take(MIME_BYTES).toString("latin1").split("\0", 1)[0] ?? "");
  const id = fields.take(KSID_BYTES).toString("hex");
  fields.end();
  const rates = { maxBps: maxBps ?? 0, minBps: minBps ?? 0, jitterBps: jitterBps ?? 0, priority: priority ?? 0 };
  const times = { timeoutMs: timeoutMs ?? 0, ttlS: ttlS ?? 0 };
  const qos = { chunkBytes: chunkBytes ?? 0, ...rates, ...times, withFacts: mimeType !== "" };
  return { source, destination, qos, mimeType, id: id === NO_ID ? undefined : id };
}

/** @throws FrameError */
export function readGetKey(payload: Buffer, dialect: Dialect): GetKeyRequest {
  const fields = new Fields(payload);
  const id = fields.take(KSID_BYTES).toString("hex");
  const [index, metadataBytes] = [fields.u32(), fields.u32()];
  const metadata = fields.take(dialect === "A" ? metadataBytes : 0);
  fields.end();
  return { id, index, metadataBytes, metadata };
}

/** @throws FrameError */
export function readClose(payload: Buffer): StreamId {
  const fields = new Fields(payload);
  const id = fields.take(KSID_BYTES).toString("hex");
  fields.end();
  return id;
}

/** Whether metadata of this kind can be had: JSON, or none at all. */
export const isKnownType = (mimeType: string): boolean => mimeType === "" || mimeType.toLowerCase() === JSON_TYPE;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

function frame(dialect: Dialect, service: Service, ...parts: readonly Uint8Array[]): Uint8Array {
  const payload = Buffer.concat(parts);
  const whole = Buffer.alloc(HEADER_BYTES + payload.length);
  payload.copy(whole, writeHeader(whole, 0, { dialect, service, length: payload.length }));
  return whole;
}

/** The answer to OPEN_CONNECT: the QoS that is given, or could be. */
export interface OpenAnswer {
  readonly status: number;
  readonly qos: StreamQos;
  readonly id: StreamId | undefined;
}

/** Wire B has the status alone, unless the call succeeded or the quality of service was not met. */
export function openAnswer(dialect: Dialect, { status, qos, id }: OpenAnswer): Uint8Array {
  const hasAll = dialect === "A" || [STATUS.ok, STATUS.alone, STATUS.qosNotMet].some((one) => one === status);
  if (!hasAll) return frame(dialect, "open", u32(status));
  const numbers = [qos.chunkBytes, qos.maxBps, qos.minBps, qos.jitterBps, qos.priority, qos.timeoutMs, qos.ttlS];
  const type = Buffer.from(qos.withFacts ? JSON_TYPE : "", "latin1");
  const mimeType = Buffer.alloc(dialect === "A" ? type.length + 1 : MIME_BYTES);
  type.copy(mimeType);
  return frame(dialect, "open", u32(status), ...numbers.map(u32), mimeType, Buffer.from(id ?? NO_ID, "hex"));
}

/** Without key. `metadataBytes`: what is needed. */
export function getKeyRefusal(dialect: Dialect, status: number, index: number, metadataBytes = 0): Uint8Array {
  if (dialect === "A") {
    return frame(dialect, "getKey", u32(status), u32(index), u32(0), u32(metadataBytes), Buffer.alloc(metadataBytes));
  }
  const needed = status === STATUS.metadataTooSmall ? [u32(metadataBytes)] : [];
  return frame(dialect, "getKey", u32(status), ...needed);
}

/** The frame that answers CLOSE. */
export const closeAnswer = (dialect: Dialect, status: number): Uint8Array => frame(dialect, "close", u32(status));

/** Bytes of a frame with a chunk and metadata. */
export const chunkFrameBytes = (chunkBytes: number, metadataBytes: number): number =>
  HEADER_BYTES + 4 + 4 + 4 + chunkBytes + 4 + metadataBytes;

/** Writes a frame with key from `at` on; `writeKey` writes the chunk and returns the position behind it, as this does. */
export function writeChunk(
  target: Uint8Array,
  at: number,
  answer: {
    readonly dialect: Dialect;
    readonly index: number;
    readonly chunkBytes: number;
    readonly metadata: Uint8Array;
  },
  writeKey: (at: number) => number,
): number {
  const { dialect, index, chunkBytes, metadata } = answer;
  const length = chunkFrameBytes(chunkBytes, metadata.length) - HEADER_BYTES;
  let end = writeHeader(target, at, { dialect, service: "getKey", length });
  end = writeU32(target, end, STATUS.ok);
  end = writeU32(target, end, index);
  end = writeU32(target, end, chunkBytes);
  end = writeKey(end);
  end = writeU32(target, end, metadata.length);
  target.set(metadata, end);
  return end + metadata.length;
}

/** The status that a fault has. */
export function statusOf(code: FaultCode): number {
  return STATUSES[code] ?? STATUS.noConnection;
}

const STATUSES: Partial<Readonly<Record<FaultCode, number>>> = {
  INSUFFICIENT_KEYS: STATUS.insufficientKey,
  QUOTA_EXCEEDED: STATUS.insufficientKey,
  BUSY: STATUS.insufficientKey,
  KEY_NOT_FOUND: STATUS.insufficientKey,
  STORE_FULL: STATUS.insufficientKey,
  APP_UNAVAILABLE: STATUS.peerNotConnected,
  SESSION_UNKNOWN: STATUS.peerNotConnected,
  NOT_AUTHORIZED: STATUS.idInUse,
};
