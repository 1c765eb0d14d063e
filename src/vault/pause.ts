// Waiting by the clock in a way that an end cuts short.

import type { Clock } from "../core/ports.ts";

/** Back-off of everything that the vault tries again: 0.2 s, doubling to 5 s. */
export const BACK_OFF = { firstMs: 200, longestMs: 5000 } as const;

/** The next wait of a back-off, in ms. */
export const longer = (ms: number): number => Math.min(ms * 2, BACK_OFF.longestMs);

/** Waits by the clock that an end cuts short. */
export class Pause {
  readonly #clock: Clock;
  readonly #waking = new Set<() => void>();
  #ended = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after `ms`, or at once when it has ended. */
  for(ms: number): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, () => wake());
      const wake = () => {
        cancel();
        this.#waking.delete(wake);
        resolve();
      };
      this.#waking.add(wake);
    });
  }

  /** Wakes everyone who waits now. */
  wake(): void {
    for (const wake of this.#waking) wake();
  }

  /** Wakes everyone who waits, now and from now on. */
  end(): void {
    this.#ended = true;
    this.wake();
  }
}
