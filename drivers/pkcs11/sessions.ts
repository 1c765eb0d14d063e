// A bounded pool of sessions: one operation on one session at a time, first come first served.

import type { Handle } from "pkcs11js";

export interface SessionPool {
  /** A session for the caller alone, until `give` or `discard`. Rejects after `close`. */
  take(): Promise<Handle>;
  give(session: Handle): void;
  /** Closes a session that may have an operation left open in it; another takes its place when needed. */
  discard(session: Handle): void;
  /** Turns everybody away with `reason`; resolves when the last session out is back and all are closed. */
  close(reason: Error): Promise<void>;
}

interface Waiter {
  readonly resolve: (session: Handle) => void;
  readonly reject: (reason: unknown) => void;
}

/** How sessions are made and ended. */
export interface Sessions {
  open(): Handle;
  close(session: Handle): void;
  readonly most: number;
}

export function makeSessionPool(sessions: Sessions): SessionPool {
  const idle: Handle[] = [];
  const waiting: Waiter[] = [];
  let live = 0;
  let closed: Error | undefined;
  let drained = () => {};

  function next(): Handle {
    const session = idle.pop();
    if (session !== undefined) return session;
    const made = sessions.open();
    live += 1;
    return made;
  }

  function serve(): void {
    while (idle.length > 0 || live < sessions.most) {
      const waiter = waiting.shift();
      if (waiter === undefined) break;
      try {
        waiter.resolve(next());
      } catch (thrown) {
        waiter.reject(thrown);
      }
    }
  }

  function end(session: Handle): void {
    live -= 1;
    sessions.close(session);
    if (closed !== undefined && live === 0) drained();
  }

  return {
    take: () =>
      new Promise((resolve, reject) => {
        if (closed !== undefined) return reject(closed);
        waiting.push({ resolve, reject });
        serve();
      }),
    give(session) {
      if (closed !== undefined) return end(session);
      idle.push(session);
      serve();
    },
    discard(session) {
      end(session);
      if (closed === undefined) serve();
    },
    close(reason) {
      closed = reason;
      for (const waiter of waiting.splice(0)) waiter.reject(reason);
      const done = new Promise<void>((resolve) => {
        drained = resolve;
      });
      for (const session of idle.splice(0)) end(session);
      if (live === 0) drained();
      return done;
    },
  };
}
