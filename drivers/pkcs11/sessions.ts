// A bounded pool of sessions: one operation on one session at a time, first come first served.

import type { Handle } from "pkcs11js";

/** How sessions are made and ended, and how many there may be. */
export interface Sessions {
  open(): Handle;
  close(session: Handle): void;
  readonly most: number;
}

interface Waiter {
  readonly resolve: (session: Handle) => void;
  readonly reject: (reason: unknown) => void;
}

/** Sessions of one token, each lent to one operation at a time. */
export class SessionPool {
  readonly #sessions: Sessions;
  readonly #idle: Handle[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #drained = Promise.withResolvers<void>();
  /** All that are open, idle or lent. */
  #live = 0;
  #closed: Error | undefined;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** A session for the caller alone, until `give` or `discard`. Rejects after `close`, or as opening one throws. */
  take(): Promise<Handle> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const { promise, resolve, reject } = Promise.withResolvers<Handle>();
    this.#waiting.push({ resolve, reject });
    this.#serve();
    return promise;
  }

  give(session: Handle): void {
    if (this.#closed !== undefined) {
      this.#end(session);
      return;
    }
    this.#idle.push(session);
    this.#serve();
  }

  /** Closes a session that may have an operation left open in it; another takes its place when needed. */
  discard(session: Handle): void {
    this.#end(session);
    this.#serve();
  }

  /** Turns everybody away with `reason`; resolves when the last session out is back and all are closed. */
  close(reason: Error): Promise<void> {
    this.#closed = reason;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(reason);
    for (const session of this.#idle.splice(0)) this.#end(session);
    if (this.#live === 0) this.#drained.resolve();
    return this.#drained.promise;
  }

  #serve(): void {
    while (this.#idle.length > 0 || this.#live < this.#sessions.most) {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) return;
      try {
        waiter.resolve(this.#next());
      } catch (thrown) {
        waiter.reject(thrown);
      }
    }
  }

  #next(): Handle {
    const session = this.#idle.pop();
    if (session !== undefined) return session;
    const made = this.#sessions.open();
    this.#live += 1;
    return made;
  }

  #end(session: Handle): void {
    this.#live -= 1;
    this.#sessions.close(session);
    if (this.#closed !== undefined && this.#live === 0) this.#drained.resolve();
  }
}
