// When to try again: after a second, then twice as long each time, up to a minute.

import type { Clock } from "../../core/ports.ts";

const FIRST_MS = 1000;
const MOST_MS = 60_000;

/** The pause before the next try, which grows with each failure. */
export class Backoff {
  readonly #clock: Clock;
  #ms = FIRST_MS;
  #stop: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isWaiting(): boolean {
    return this.#stop !== undefined;
  }

  /** Calls `then` when it is time, unless `reset` comes before. */
  wait(then: () => void): void {
    this.#stop?.();
    this.#stop = this.#clock.after(this.#ms, () => {
      this.#stop = undefined;
      then();
    });
    this.#ms = Math.min(2 * this.#ms, MOST_MS);
  }

  reset(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#ms = FIRST_MS;
  }
}
