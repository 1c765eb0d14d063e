// Clients of ETSI GS QKD 004 as others write them, in both dialects: bytes by hand, nothing of our own code.

import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";

export type Dialect = "A" | "B";

export interface Qos {
  readonly chunk?: number;
  readonly max?: number;
  readonly min?: number;
  readonly jitter?: number;
  readonly priority?: number;
  readonly timeout?: number;
  readonly ttl?: number;
  readonly mimeType?: string;
}

export interface OpenReply {
  readonly status: number;
  /** Undefined where the answer is its status alone. */
  readonly qos: Required<Qos> | undefined;
  readonly ksid: string | undefined;
}

export interface KeyReply {
  readonly status: number;
  readonly index: number | undefined;
  readonly key: Buffer;
  readonly metadata: string;
  /** With status 8. */
  readonly needed: number | undefined;
}

const VERSION = { A: [2, 1, 1], B: [1, 0, 1] };
const NONE = "00".repeat(16);
const MIME_BYTES = 256;

const u32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [at, value] of values.entries()) bytes.writeUInt32BE(value, 4 * at);
  return bytes;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`, "latin1");

export const frameOf = (dialect: Dialect, service: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...VERSION[dialect], service]), u32(payload.length), payload]);

export function openFrame(dialect: Dialect, source: string, destination: string, qos: Qos = {}, ksid = NONE): Buffer {
  const { chunk = 0, max = 0, min = 0, jitter = 0, priority = 0, timeout = 0, ttl = 0 } = qos;
  const type = text(qos.mimeType ?? "application/json");
  const mime = dialect === "A" ? type : Buffer.concat([type, Buffer.alloc(MIME_BYTES - type.length)]);
  const numbers = u32(chunk, max, min, jitter, priority, timeout, ttl);
  return frameOf(dialect, 2, Buffer.concat([text(source), text(destination), numbers, mime, Buffer.from(ksid, "hex")]));
}

export function keyFrame(dialect: Dialect, ksid: string, index: number, metadata: Uint8Array | number = 0): Buffer {
  const room = typeof metadata === "number" ? Buffer.alloc(metadata) : metadata;
  const id = Buffer.from(ksid, "hex");
  return frameOf(dialect, 4, Buffer.concat([id, u32(index, room.length), ...(dialect === "A" ? [room] : [])]));
}

export const closeFrame = (dialect: Dialect, ksid: string): Buffer => frameOf(dialect, 8, Buffer.from(ksid, "hex"));

/** One connection: calls one after the other. */
export class Client implements Disposable {
  readonly dialect: Dialect;
  readonly socket: TLSSocket;
  #bytes: Buffer = Buffer.alloc(0);
  #closed = false;
  #look: () => void = () => {};

  private constructor(dialect: Dialect, socket: TLSSocket) {
    this.dialect = dialect;
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#look();
    });
    socket.on("close", () => {
      this.#closed = true;
      this.#look();
    });
  }

  static async connect(dialect: Dialect, options: ConnectionOptions): Promise<Client> {
    const socket = connect({ checkServerIdentity: () => undefined, ...options });
    const client = new Client(dialect, socket);
    await once(socket, "secureConnect");
    return client;
  }

  async open(source: string, destination: string, qos: Qos = {}, ksid = NONE): Promise<OpenReply> {
    const reply = await this.call(openFrame(this.dialect, source, destination, qos, ksid), 3);
    const status = reply.readUInt32BE(0);
    if (reply.length === 4) return { status, qos: undefined, ksid: undefined };
    const [chunk = 0, max = 0, min = 0, jitter = 0, priority = 0, timeout = 0, ttl = 0] = Array.from(
      { length: 7 },
      (_, at) => reply.readUInt32BE(4 + 4 * at),
    );
    const end = this.dialect === "A" ? reply.indexOf(0, 32) + 1 : 32 + MIME_BYTES;
    const mimeType = reply.toString("latin1", 32, reply.indexOf(0, 32));
    if (reply.length !== end + 16) throw new Error("an answer to OPEN_CONNECT has another length");
    return {
      status,
      qos: { chunk, max, min, jitter, priority, timeout, ttl, mimeType },
      ksid: reply.toString("hex", end),
    };
  }

  async getKey(ksid: string, index: number, metadata: Uint8Array | number = 1024): Promise<KeyReply> {
    const reply = await this.call(keyFrame(this.dialect, ksid, index, metadata), 5);
    const status = reply.readUInt32BE(0);
    if (this.dialect === "B" && status !== 0) {
      const needed = reply.length === 8 ? reply.readUInt32BE(4) : undefined;
      return { status, index: undefined, key: Buffer.alloc(0), metadata: "", needed };
    }
    const keyEnd = 12 + reply.readUInt32BE(8);
    const bytes = reply.readUInt32BE(keyEnd);
    if (reply.length !== keyEnd + 4 + bytes) throw new Error("an answer to GET_KEY has another length");
    const key = Buffer.from(reply.subarray(12, keyEnd));
    const needed = status === 8 ? bytes : undefined;
    return { status, index: reply.readUInt32BE(4), key, metadata: reply.toString("latin1", keyEnd + 4), needed };
  }

  async close(ksid: string): Promise<number> {
    const reply = await this.call(closeFrame(this.dialect, ksid), 9);
    if (reply.length !== 4) throw new Error("an answer to CLOSE has another length");
    return reply.readUInt32BE(0);
  }

  /** The payload of the answer. @throws Error when it is of another version or service, or the connection ends */
  async call(frame: Uint8Array, service: number): Promise<Buffer> {
    this.socket.write(frame);
    const header = await this.take(8);
    const expected = [...VERSION[this.dialect], service];
    if ([...header.subarray(0, 4)].join() !== expected.join())
      throw new Error(`an answer begins ${header.toString("hex")}`);
    return await this.take(header.readUInt32BE(4));
  }

  async take(length: number): Promise<Buffer> {
    while (this.#bytes.length < length) {
      if (this.#closed) throw new Error("the connection has ended");
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
    const taken = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return taken;
  }

  /** Resolves when the other end has closed the connection. */
  async ended(): Promise<void> {
    while (!this.#closed) {
      await new Promise<void>((resolve) => {
        this.#look = resolve;
      });
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
