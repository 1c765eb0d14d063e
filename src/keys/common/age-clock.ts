// The age of keys: monotonic while the process runs, saved, and moved on by the time switched off (design 6).

import type { Clock } from "../../core/ports.ts";

export interface SavedAge {
  readonly ageMs: number;
  readonly wallMs: number;
}

export class AgeClock {
  /** The wall clock stands before the last saved time: how long this node was off is unknown. */
  readonly wentBack: boolean;
  readonly #clock: Clock;
  readonly #origin: number;

  constructor(clock: Clock, saved: SavedAge | undefined) {
    this.#clock = clock;
    const off = saved === undefined ? 0 : clock.wallMs() - saved.wallMs;
    this.wentBack = off < 0;
    this.#origin = (saved?.ageMs ?? 0) + Math.max(0, off) - clock.monotonicMs();
  }

  /** Milliseconds since this store began to be. */
  now(): number {
    return this.#origin + this.#clock.monotonicMs();
  }

  saved(): SavedAge {
    return { ageMs: this.now(), wallMs: this.#clock.wallMs() };
  }
}
