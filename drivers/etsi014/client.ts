// HTTPS to a vendor's box: one call at a time, whose answer lies in locked memory while it is read and nowhere else.

import { Agent, request } from "node:https";
import { forgetReadSoon } from "../../src/core/memory/forget.ts";
import type { BoxOptions, BoxPorts } from "../../src/device/key-box.ts";
import { BoxFault, boxFault, boxTls } from "../common/box-tls.ts";

/** The longest answer: the base64 of a block, and what stands around up to `MOST_KEYS` keys. */
export const ANSWER_BYTES = 65_536;
const CALL_MS = 5000;

/** One request to a box: path, body, and how its answer is read. */
export interface BoxCall {
  readonly path: string;
  /** JSON; a GET without. */
  readonly body?: string;
}

/** Lent until the function that reads it returns; zeroed then. */
export interface BoxAnswer {
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly body: Uint8Array;
}

class StaleConnection extends Error {
  override readonly name = "StaleConnection";
}

/** Requests to a vendor's ETSI GS QKD 014 box over one TLS connection, made anew when it is lost. */
export class BoxClient implements Disposable {
  readonly #options: BoxOptions;
  readonly #clock: BoxPorts["clock"];
  readonly #memory: Uint8Array;
  readonly #stop = new AbortController();
  #agent: Agent | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: BoxOptions, ports: BoxPorts) {
    this.#options = options;
    this.#clock = ports.clock;
    this.#memory = ports.memory(ANSWER_BYTES);
  }

  get #place(): string {
    return `${this.#options.host}:${this.#options.port}`;
  }

  /** @throws Fault BOX_UNAVAILABLE, and what `read` throws */
  call<T>(call: BoxCall, read: (answer: BoxAnswer) => T): Promise<T> {
    const turn = this.#tail.then(() => this.#call(call, read));
    this.#tail = turn.catch(() => {});
    return turn;
  }

  async #call<T>(call: BoxCall, read: (answer: BoxAnswer) => T): Promise<T> {
    try {
      return read(await this.#exchange(call).catch((thrown: unknown) => this.#onceMore(call, thrown)));
    } catch (thrown) {
      const fault = boxFault(thrown, this.#place);
      // What comes after a failure is a new connection, with the files as they are then.
      if (fault instanceof BoxFault) this.#hangUp();
      throw fault;
    } finally {
      this.#memory.fill(0);
    }
  }

  /** A box may close an idle connection just when a request is sent on it. */
  #onceMore(call: BoxCall, thrown: unknown): Promise<BoxAnswer> {
    if (!(thrown instanceof StaleConnection)) throw thrown;
    this.#hangUp();
    return this.#exchange(call);
  }

  #exchange({ path, body }: BoxCall): Promise<BoxAnswer> {
    this.#stop.signal.throwIfAborted();
    const { host, port } = this.#options;
    this.#agent ??= new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0, ...boxTls(this.#options) });
    const { promise, resolve, reject } = Promise.withResolvers<BoxAnswer>();
    const headers = {
      Accept: "application/json",
      ...(body !== undefined && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }),
    };
    const method = body === undefined ? "GET" : "POST";
    const call = request({ host, port, path, method, agent: this.#agent, headers, signal: this.#stop.signal });
    const endTimer = this.#clock.after(CALL_MS, () => call.destroy(new Error(`nothing came within ${CALL_MS} ms`)));
    call.on("error", (error: NodeJS.ErrnoException) => {
      reject(call.reusedSocket && error.code === "ECONNRESET" ? new StaleConnection() : error);
    });
    const agent = this.#agent;
    call.on("socket", (socket) => {
      // The next connection reads the files anew.
      if (!call.reusedSocket) socket.once("close", () => agent === this.#agent && this.#hangUp());
    });
    call.on("response", (response) => {
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        if (length + chunk.length <= this.#memory.length) this.#memory.set(chunk, length);
        else call.destroy(new BoxFault("box-answers-wrong", `the box at ${this.#place} answers too much`));
        length += chunk.length;
        chunk.fill(0);
        forgetReadSoon();
      });
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, headers: of } = response;
        const seconds = Number(of["retry-after"]);
        const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
        resolve({ status, retryAfterMs, body: this.#memory.subarray(0, length) });
      });
    });
    call.end(body);
    return promise.finally(endTimer);
  }

  #hangUp(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  /** Ends the call under way. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#hangUp();
  }
}
