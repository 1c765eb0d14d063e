// The frame of Q.4161 and Q.4163 appendix I: how bytes become frames, and frames bytes.

//     0       2               6         8        10                    10+Length
//     +-------+---------------+---------+--------+---------------------+
//     |Version|   MessageID   |CommandCd| Length | Payload (JSON, UTF-8)|
//     +-------+---------------+---------+--------+---------------------+
//         2           4            2        2        0..65535 bytes

/** Version of the frame (Q.4161 appendix I). */
export const VERSION = 1;
/** Bytes before a payload: version, type, length, MessageID (Q.4161 appendix I). */
export const HEADER_BYTES = 10;
/** Largest payload: its length has 16 bits. */
export const MAX_PAYLOAD_BYTES = 0xffff;
/** Largest frame, header included. */
export const MAX_FRAME_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES;
/** Largest MessageID: 32 bits. */
export const MAX_MESSAGE_ID = 0xffff_ffff;

/** One frame. `payload` is a view, lent until the function that was called with it returns. */
export interface Frame {
  readonly version: number;
  readonly messageId: number;
  readonly code: number;
  readonly payload: Uint8Array;
}

/** Why a frame ends its connection; also the `reason` label of `frames_refused`. */
export type FrameReason = "version" | "over_long" | "no_buffer" | "unknown_code" | "direction" | "json" | "message_id";

/** The peer sent what no frame may be. The connection has to be closed: nothing after it can be trusted. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly reason: FrameReason;

  constructor(reason: FrameReason, sentence: string, cause?: unknown) {
    super(sentence, { cause });
    this.reason = reason;
  }
}

/** Lends the memory in which a frame that straddles chunks is gathered. */
export interface Buffers {
  /** A buffer that holds the longest frame allowed, or `undefined` when all are lent. */
  take(): Uint8Array | undefined;
  /** Gives one back, of which the first `used` bytes were written. */
  give(buffer: Uint8Array, used: number): void;
}

/**
 * Cuts a stream of bytes into frames. A frame that lies whole in a chunk is a view of the chunk, not copied;
 * only one that straddles chunks is gathered. After a throw the reader must not be pushed to again.
 */
export class FrameReader {
  readonly #buffers: Buffers;
  readonly #maxBytes: number;
  #gathered: Uint8Array | undefined;
  #filled = 0;

  /** @param maxBytes the longest frame accepted, header and all; no buffer may be shorter */
  constructor(buffers: Buffers, maxBytes: number = MAX_FRAME_BYTES) {
    this.#buffers = buffers;
    this.#maxBytes = maxBytes;
  }

  /**
   * Calls `onFrame` for each frame that `chunk` completes, in order. What `onFrame` throws comes out of here.
   * @throws FrameError version, over_long (before the body is waited for), no_buffer
   */
  push(chunk: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = this.#gathered === undefined ? 0 : this.#continue(this.#gathered, chunk, onFrame);
    while (chunk.length - at >= HEADER_BYTES) {
      const end = at + this.#frameBytes(chunk, at);
      if (end > chunk.length) break;
      onFrame(frameOf(chunk, at, end));
      at = end;
    }
    if (at < chunk.length) this.#gather(chunk, at);
  }

  /** Gives the assembly buffer back; call when the connection ends. */
  dispose(): void {
    if (this.#gathered === undefined) return;
    this.#buffers.give(this.#gathered, this.#filled);
    this.#gathered = undefined;
    this.#filled = 0;
  }

  /** Fills up the straddling frame; returns the position in `chunk` behind what it took. */
  #continue(buffer: Uint8Array, chunk: Uint8Array, onFrame: (frame: Frame) => void): number {
    let at = this.#fill(buffer, chunk, 0, HEADER_BYTES);
    if (this.#filled < HEADER_BYTES) return at;
    const length = this.#frameBytes(buffer, 0);
    at = this.#fill(buffer, chunk, at, length);
    if (this.#filled < length) return at;
    try {
      onFrame(frameOf(buffer, 0, length));
    } finally {
      this.dispose();
    }
    return at;
  }

  #fill(buffer: Uint8Array, chunk: Uint8Array, at: number, target: number): number {
    const end = Math.min(chunk.length, at + Math.max(0, target - this.#filled));
    buffer.set(chunk.subarray(at, end), this.#filled);
    this.#filled += end - at;
    return end;
  }

  #gather(chunk: Uint8Array, at: number): void {
    if (this.#gathered !== undefined) return;
    const buffer = this.#buffers.take();
    if (buffer === undefined) throw new FrameError("no_buffer", "all assembly buffers are in use");
    this.#gathered = buffer;
    this.#fill(buffer, chunk, at, this.#maxBytes);
  }

  /** Length of the frame whose header is at `at`, after the checks that a header allows. */
  #frameBytes(bytes: Uint8Array, at: number): number {
    const version = uint16(bytes, at);
    if (version !== VERSION) throw new FrameError("version", `version ${version} is not ${VERSION}`);
    const length = HEADER_BYTES + uint16(bytes, at + 8);
    if (length > this.#maxBytes) throw new FrameError("over_long", `${length} bytes are more than ${this.#maxBytes}`);
    return length;
  }
}

const uint16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function frameOf(bytes: Uint8Array, at: number, end: number): Frame {
  return {
    version: uint16(bytes, at),
    messageId: uint16(bytes, at + 2) * 0x1_0000 + uint16(bytes, at + 4),
    code: uint16(bytes, at + 6),
    payload: bytes.subarray(at + HEADER_BYTES, end),
  };
}

/**
 * Writes a header at `at`; returns the position behind it, where the payload begins.
 * @throws RangeError when a field does not fit its width, or the header the target
 */
export function writeHeader(
  target: Uint8Array,
  at: number,
  header: Omit<Frame, "version" | "payload">,
  payloadBytes: number,
): number {
  const { code, messageId } = header;
  if (payloadBytes > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${payloadBytes} bytes fits no frame`);
  if (!Number.isInteger(messageId) || messageId < 0 || messageId > MAX_MESSAGE_ID) {
    throw new RangeError(`${messageId} is no message ID`);
  }
  if (at + HEADER_BYTES > target.length) throw new RangeError("no room for a header");
  setUint16(target, at, VERSION);
  setUint16(target, at + 2, messageId >>> 16);
  setUint16(target, at + 4, messageId);
  setUint16(target, at + 6, code);
  setUint16(target, at + 8, payloadBytes);
  return at + HEADER_BYTES;
}

/** The low 16 bits of `value`. */
function setUint16(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 8;
  target[at + 1] = value;
}

/** A whole frame as new bytes. @throws RangeError when the payload is longer than a frame may carry */
export function encodeFrame(code: number, messageId: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame.set(payload, writeHeader(frame, 0, { code, messageId }, payload.length));
  return frame;
}
