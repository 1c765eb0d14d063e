// Frames of ETSI GS QKD 004 as public clients send them: two dialects, told apart by the version in the header.
//
//     0         3       4               8
//     +---------+-------+---------------+---------------------+
//     | Version |Service| Payload length| Payload             |
//     +---------+-------+---------------+---------------------+
//          3        1           4          0..16384 bytes       numbers big-endian

import { Fault } from "../core/fault.ts";

/** `A`: 2.1.1, strings end with 0, an answer has all fields. `B`: 1.0.1, the MIME type has 256 bytes, a refusal its status alone. */
export type Dialect = "A" | "B";

const VERSIONS: Readonly<Record<Dialect, readonly [number, number, number]>> = { A: [2, 1, 1], B: [1, 0, 1] };

/** Bytes before the payload. */
export const HEADER_BYTES = 8;
/** Longest payload of a request: two URIs, a MIME type, or a buffer for metadata. */
export const MAX_PAYLOAD_BYTES = 16_384;

/** Requests by their service; an answer has the next one. */
export const SERVICES = { open: 0x02, getKey: 0x04, close: 0x08 } as const;

/** OPEN_CONNECT, GET_KEY or CLOSE. */
export type Service = keyof typeof SERVICES;

/** One frame as it was read; the payload is lent. */
export interface Frame {
  readonly dialect: Dialect;
  readonly service: number;
  readonly payload: Buffer;
}

/** The peer sent what no frame may be: the connection is closed. `reason` is that of `frames_refused`. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly reason: "version" | "over_long" | "pipelined" | "unknown_code" | "malformed";

  constructor(reason: FrameError["reason"], sentence: string) {
    super(sentence);
    this.reason = reason;
  }
}

/** Frames that may wait behind one that is being answered. */
const MOST_WAITING = 16;

/** Cuts what arrives into frames, copied: requests have no secrets. */
export class FrameReader {
  #bytes: Buffer = Buffer.alloc(0);

  /** @throws FrameError */
  push(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length > MOST_WAITING * (HEADER_BYTES + MAX_PAYLOAD_BYTES)) {
      throw new FrameError("pipelined", "too much was sent before an answer");
    }
    this.#lengthOfNext();
  }

  /** The next whole frame, if there is one. @throws FrameError */
  next(): Frame | undefined {
    const length = this.#lengthOfNext();
    const end = HEADER_BYTES + (length ?? 0);
    if (length === undefined || this.#bytes.length < end) return undefined;
    const frame = this.#bytes.subarray(0, end);
    this.#bytes = this.#bytes.subarray(end);
    return { dialect: dialectOf(frame), service: frame.readUInt8(3), payload: frame.subarray(HEADER_BYTES) };
  }

  /** Bounds are known before a payload is waited for. */
  #lengthOfNext(): number | undefined {
    if (this.#bytes.length < HEADER_BYTES) return undefined;
    dialectOf(this.#bytes);
    const length = this.#bytes.readUInt32BE(4);
    if (length > MAX_PAYLOAD_BYTES) throw new FrameError("over_long", `a payload of ${length} bytes is too long`);
    return length;
  }
}

/** @throws FrameError */
function dialectOf(header: Buffer): Dialect {
  const found = (["A", "B"] as const).find((name) => VERSIONS[name].every((byte, at) => header[at] === byte));
  if (found === undefined)
    throw new FrameError("version", `version ${[...header.subarray(0, 3)].join(".")} is not known`);
  return found;
}

/** Writes the header of the answer to a request; returns the position behind it. */
export function writeHeader(
  target: Uint8Array,
  at: number,
  { dialect, service, length }: { readonly dialect: Dialect; readonly service: Service; readonly length: number },
): number {
  target.set(VERSIONS[dialect], at);
  target[at + 3] = SERVICES[service] + 1;
  return writeU32(target, at + 4, length);
}

/** A whole request, as a client sends it. */
export function requestFrame(dialect: Dialect, service: Service, payload: Uint8Array): Uint8Array {
  const whole = Buffer.alloc(HEADER_BYTES + payload.length);
  whole.set([...VERSIONS[dialect], SERVICES[service]]);
  whole.set(payload, writeU32(whole, 4, payload.length));
  return whole;
}

/** Bytes of the payload behind the header of an answer. @throws FrameError when it answers something else */
export function answerBytes(header: Buffer, dialect: Dialect, service: Service): number {
  if (dialectOf(header) !== dialect) throw new FrameError("version", "the answer is in another dialect");
  const code = header.readUInt8(3);
  if (code !== SERVICES[service] + 1)
    throw new FrameError("unknown_code", `service ${code} is no answer to ${service}`);
  return header.readUInt32BE(4);
}

/** Returns the position behind it. */
export function writeU32(target: Uint8Array, at: number, value: number): number {
  new DataView(target.buffer, target.byteOffset, target.byteLength).setUint32(at, value);
  return at + 4;
}

/** Reads fields one after the other. @throws FrameError where one is missing */
export class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u32(): number {
    return this.take(4).readUInt32BE(0);
  }

  take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new FrameError("malformed", "a field runs past the end of the payload");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  /** Up to a 0, which is taken too. */
  string(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw new FrameError("malformed", "a string has no end");
    const text = this.take(end - this.#at).toString("utf8");
    this.#at += 1;
    return text;
  }

  /** @throws FrameError when anything is left */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new FrameError("malformed", "the payload has more than its fields");
  }
}

/** What a URI names: `qkd://app-a1@km-a`, and without the colon, as one client writes it. @throws Fault MALFORMED_REQUEST */
export function applicationIn(uri: string): string {
  const found = /^[A-Za-z][A-Za-z0-9+.-]*:?\/\/(?:([^@/?#]+)@)?([^/?#]+)/.exec(uri);
  const name = found?.[1] ?? found?.[2];
  if (name === undefined) throw new Fault("MALFORMED_REQUEST", { text: "a URI needs a scheme and an authority" });
  return name;
}
