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
  /** Another member than the one that is connected. Rejects when no other listens, or the key manager has only one. */
  elsewhere(signal: AbortSignal): Promise<Dialogue>;
  changed(state: ConnectionState): void;
  /** How long the pause between two tries grows; the usual one when undefined. */
  readonly longestPauseMs: number | undefined;
  /** Ends everything; its reason is an Interruption. */
  readonly stop: AbortSignal;
}

/** Other members are looked for so often at most. */
const LOOK_EVERY_MS = 500;

/**
 * Keeps one connection at a time, dialled again with back-off; requests wait for it as long as their deadline allows.
 */
export class Reconnecting {
  /** Resolves when the client is closed and the last connection is gone. */
  readonly ended: Promise<void>;
  readonly #options: ReconnectOptions;
  #dialogue: Dialogue;
  #next = deferred<void>();
  #isLooking = false;

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

  /** The member that is connected cannot serve: another one that listens is the active one, and is asked from now on. */
  async tryOthers(): Promise<void> {
    const { elsewhere, stop } = this.#options;
    if (this.#isLooking || stop.aborted) return;
    this.#isLooking = true;
    const former = this.#dialogue;
    try {
      const dialogue = await elsewhere(stop);
      if (stop.aborted || this.#dialogue !== former || !former.open) return dialogue.close("it is not needed");
      this.#dialogue = dialogue;
      former.retire("another member of the key manager is active");
    } catch {
      // None listens yet: the next refusal looks again.
    } finally {
      await pause(TIMERS, LOOK_EVERY_MS, stop);
      this.#isLooking = false;
    }
  }

  async #keep(): Promise<void> {
    const { stop } = this.#options;
    const close = (): void => this.#dialogue.close("the application is done");
    stop.addEventListener("abort", close, { once: true });
    if (stop.aborted) close();
    const backoff = new Backoff(Math.random, this.#options.longestPauseMs);
    for (;;) {
      const sinceMs = performance.now();
      const current = this.#dialogue;
      this.#tell({ connected: true, group: current.group });
      const reason = await current.ended;
      if (this.#dialogue !== current) continue;
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
