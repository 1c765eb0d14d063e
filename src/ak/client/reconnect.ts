// An application's connection, made again with back-off whenever it ends, until the client is closed.

import { deferred } from "../../core/deferred.ts";
import { pause, TIMERS } from "../../core/pause.ts";
import { Backoff } from "../../net/backoff.ts";
import type { Dialogue } from "./dialogue.ts";
import { endedBy } from "./failures.ts";

/** What an application may want to show. `reason`: why the connection has ended, or could not be made. */
export type ConnectionState =
  | { readonly connected: true; readonly group: string }
  | { readonly connected: false; readonly reason: string };

/** How a connection is made, and who is told of its beginning and end. */
export interface ReconnectOptions {
  /** @throws why there is no connection */
  connect(signal: AbortSignal): Promise<Dialogue>;
  changed(state: ConnectionState): void;
  /** How long the pause between two tries grows; the usual one when undefined. */
  readonly longestPauseMs: number | undefined;
  /** Ends everything; its reason is an Interruption. */
  readonly stop: AbortSignal;
}

/**
 * Keeps one connection at a time, dialled again with back-off; requests wait for it as long as their deadline allows.
 */
export class Reconnecting {
  /** Resolves when the client is closed and the last connection is gone. */
  readonly ended: Promise<void>;
  readonly #options: ReconnectOptions;
  #dialogue: Dialogue;
  #next = deferred<void>();

  constructor(first: Dialogue, options: ReconnectOptions) {
    this.#dialogue = first;
    this.#options = options;
    this.ended = this.#keep();
  }

  /** The key exchange group of the newest connection. */
  get group(): string {
    return this.#dialogue.group;
  }

  /** The connection that is open, or the next one. @throws AkUnanswered, the signal's reason */
  async dialogue(signal: AbortSignal): Promise<Dialogue> {
    while (!this.#dialogue.open) await orAborted(this.#next.promise, signal);
    return this.#dialogue;
  }

  async #keep(): Promise<void> {
    const { stop } = this.#options;
    const close = (): void => this.#dialogue.close("the application is done");
    stop.addEventListener("abort", close, { once: true });
    if (stop.aborted) close();
    const backoff = new Backoff(Math.random, this.#options.longestPauseMs);
    for (;;) {
      const sinceMs = performance.now();
      this.#tell({ connected: true, group: this.group });
      const reason = await this.#dialogue.ended;
      if (stop.aborted) return;
      this.#tell({ connected: false, reason });
      backoff.lived(performance.now() - sinceMs);
      const dialogue = await this.#redial(backoff);
      if (dialogue === undefined) return;
      this.#dialogue = dialogue;
      this.#next.resolve();
      this.#next = deferred<void>();
      if (stop.aborted) close();
    }
  }

  /** Whatever the application's own function throws ends no connection. */
  #tell(state: ConnectionState): void {
    queueMicrotask(() => this.#options.changed(state));
  }

  /** `undefined` when the client was closed. */
  async #redial(backoff: Backoff): Promise<Dialogue | undefined> {
    const { connect, stop } = this.#options;
    for (;;) {
      await pause(TIMERS, backoff.nextMs(), stop);
      if (stop.aborted) return undefined;
      try {
        return await connect(stop);
      } catch (thrown) {
        if (stop.aborted) return undefined;
        this.#tell({ connected: false, reason: thrown instanceof Error ? thrown.message : String(thrown) });
      }
    }
  }
}

/** @throws what `signal` ends it with */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(endedBy(signal, false));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
