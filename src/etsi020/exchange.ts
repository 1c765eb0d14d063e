// One connection to the key manager of another network: a request at a time, and its answer.

import type { Clock } from "../core/ports.ts";
import type { Channel } from "../net/channel.ts";
import { type Reply, ReplyReader } from "./reply.ts";

/** No answer came, or none that is one: what was asked may have been done. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

interface Asked {
  readonly reader: ReplyReader;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: NoAnswer) => void;
}

/** One HTTP request after the other on one connection, each with its answer. */
export class Exchange {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #closed: () => void;
  #asked: Asked | undefined;
  #stopIdle: (() => void) | undefined;
  #isOpen = true;

  /** @param closed the connection is gone */
  constructor(channel: Channel, clock: Clock, closed: () => void) {
    this.#channel = channel;
    this.#clock = clock;
    this.#closed = closed;
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => {},
      closed: (reason) => this.#gone(reason),
    });
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Sends a request, whose bytes may be zeroed when this returns, and gives its answer.
   * @throws NoAnswer (as a rejection); Error at once when nothing was sent
   */
  ask(request: Uint8Array, timeoutMs: number): Promise<Reply> {
    this.#stopIdle?.();
    if (!this.#isOpen || this.#channel.writing) throw new Error("the connection cannot be written to");
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    // It may fail before anybody waits for it.
    promise.catch(() => {});
    this.#asked = { reader: new ReplyReader(), resolve, reject };
    this.#channel.write(request);
    const stopTimer = this.#clock.after(timeoutMs, () => this.close("no answer came in time"));
    return promise.finally(stopTimer);
  }

  /** Closes it when it was not used for so long. */
  rest(ms: number): void {
    this.#stopIdle = this.#clock.after(ms, () => this.close("the connection is not used"));
  }

  close(reason: string): void {
    this.#channel.close(reason);
    this.#gone(reason);
  }

  #received(chunk: Uint8Array): void {
    const asked = this.#asked;
    if (asked === undefined) {
      this.close("an answer came to no request");
      return;
    }
    try {
      const reply = asked.reader.feed(chunk);
      if (reply !== undefined) this.#answered(asked, reply);
    } catch (thrown) {
      this.close(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #answered(asked: Asked, reply: Reply): void {
    this.#asked = undefined;
    if (!reply.isReusable) this.close("the other end takes no further request");
    asked.resolve(reply);
  }

  #gone(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopIdle?.();
    const asked = this.#asked;
    this.#asked = undefined;
    this.#closed();
    if (asked === undefined) return;
    try {
      asked.resolve(asked.reader.end());
    } catch {
      asked.reject(new NoAnswer(reason));
    }
  }
}
