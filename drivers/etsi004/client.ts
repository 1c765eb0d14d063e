// TLS to a vendor's box that speaks ETSI GS QKD 004: one call at a time, whose answer lies in locked memory while it is read.

import { connect, type TLSSocket } from "node:tls";
import { forgetReadSoon } from "../../src/core/memory/forget.ts";
import type { BoxOptions, BoxPorts } from "../../src/device/key-box.ts";
import { answerBytes, FrameError, HEADER_BYTES, type Service } from "../../src/etsi004/frames.ts";
import { BoxFault, boxFault, boxTls } from "../common/box-tls.ts";

/** The longest answer: a block, and the fields around it. */
const ANSWER_BYTES = 36_864;

/** One request to a box, as a frame, and how its answer is read. */
export interface StreamCall {
  readonly service: Service;
  readonly frame: Uint8Array;
  /** The box may take so long by itself. */
  readonly withinMs: number;
}

/** What a box may take longer than it was given. */
const MARGIN_MS = 5000;

/** Before anything came: perhaps just when the call was sent. */
class ConnectionEnded extends Error {
  override readonly name = "ConnectionEnded";
  override readonly message = "the connection was closed";
}

const isGone = (thrown: unknown): boolean =>
  thrown instanceof ConnectionEnded || (thrown instanceof Error && "code" in thrown && thrown.code === "ECONNRESET");

/** A connection to a vendor's ETSI GS QKD 004 box, made anew when it is lost. */
export class StreamClient implements Disposable {
  readonly #options: BoxOptions;
  readonly #clock: BoxPorts["clock"];
  readonly #memory: Buffer;
  #socket: TLSSocket | undefined;
  /** Takes what comes of the answer under way. */
  #receive: ((chunk: Buffer) => void) | undefined;
  #isEnded = false;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: BoxOptions, ports: BoxPorts) {
    this.#options = options;
    this.#clock = ports.clock;
    const memory = ports.memory(ANSWER_BYTES);
    this.#memory = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
  }

  /** Lends the payload of the answer to `read`; it is zeroed then. @throws Fault BOX_UNAVAILABLE, and what `read` throws */
  call<T>(call: StreamCall, read: (payload: Buffer) => T): Promise<T> {
    const turn = this.#tail.then(() => this.#call(call, read));
    this.#tail = turn.catch(() => {});
    return turn;
  }

  async #call<T>(call: StreamCall, read: (payload: Buffer) => T): Promise<T> {
    const { host, port, wire } = this.#options;
    const isReused = this.#socket !== undefined;
    try {
      const payload = await this.#exchange(call).catch((thrown: unknown) => {
        // A box may have closed an idle connection.
        if (!isReused || !isGone(thrown) || this.#isEnded) throw thrown;
        this.#hangUp();
        return this.#exchange(call);
      });
      const value = read(payload);
      // Wire A has a connection for each call.
      if (wire === "A") this.#hangUp();
      return value;
    } catch (thrown) {
      const fault =
        thrown instanceof FrameError
          ? new BoxFault("box-answers-wrong", `the box's answer is not as it must be: ${thrown.message}`, thrown)
          : boxFault(thrown, `${host}:${port}`);
      if (fault instanceof BoxFault) this.#hangUp();
      throw fault;
    } finally {
      this.#memory.fill(0);
    }
  }

  /** The payload of the answer, in the memory. */
  #exchange({ service, frame, withinMs }: StreamCall): Promise<Buffer> {
    if (this.#isEnded) throw new Error("the box was closed");
    this.#socket ??= this.#connect();
    const socket = this.#socket;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    let length = 0;
    let end: number | undefined;
    const received = (chunk: Buffer): void => {
      try {
        if (length + chunk.length > this.#memory.length) throw new FrameError("over_long", "it is too long");
        this.#memory.set(chunk, length);
        length += chunk.length;
        if (end === undefined && length >= HEADER_BYTES) {
          end = HEADER_BYTES + answerBytes(this.#memory.subarray(0, HEADER_BYTES), this.#options.wire, service);
          if (end > this.#memory.length) throw new FrameError("over_long", "it is too long");
        }
        if (end !== undefined && length > end) throw new FrameError("malformed", "there is more than the answer");
        if (length === end) resolve(this.#memory.subarray(HEADER_BYTES, end));
      } catch (thrown) {
        reject(thrown);
      }
    };
    const closed = (): void => reject(socket.errored ?? new ConnectionEnded());
    const totalMs = withinMs + MARGIN_MS;
    const endTimer = this.#clock.after(totalMs, () => reject(new Error(`nothing came within ${totalMs} ms`)));
    this.#receive = received;
    socket.on("close", closed);
    if (socket.destroyed) closed();
    else socket.write(frame);
    return promise.finally(() => {
      endTimer();
      this.#receive = undefined;
      socket.off("close", closed);
    });
  }

  #connect(): TLSSocket {
    const { host, port } = this.#options;
    const socket = connect({ host, port, ...boxTls(this.#options) });
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      // What comes when nothing was asked has no meaning.
      this.#receive?.(chunk);
      chunk.fill(0);
      forgetReadSoon();
    });
    // Told by `close`, which follows.
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket === socket) this.#socket = undefined;
    });
    return socket;
  }

  #hangUp(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  /** Ends the call under way. */
  [Symbol.dispose](): void {
    this.#isEnded = true;
    this.#hangUp();
  }
}
