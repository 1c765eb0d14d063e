// Waiting, as long as somebody is there.

import type { Clock } from "../../core/ports.ts";

/** @throws what the signal aborts with */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (ms <= 0) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal.reason);
  const stop = clock.after(ms, resolve);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await promise;
  } finally {
    stop();
    signal.removeEventListener("abort", abort);
  }
}
