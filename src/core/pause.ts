// Waiting that a signal cuts short.

import type { Clock } from "./ports.ts";

type Timers = Pick<Clock, "after">;

/** The process's own timers, for code that is not driven by a `Clock`. */
export const TIMERS: Timers = {
  after: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or as soon as the signal aborts: the caller looks at the signal. */
export function pause(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = timers.after(Math.max(0, ms), end);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
