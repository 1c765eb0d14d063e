// The age of keys: monotonic while the process runs, saved, and moved on by the time switched off (design 6).
//
// How long a node was switched off is a guess by its wall clock, which may be wrong. A source that takes its keys for too
// old is safe: it stops early. A destination that does so loses keys that were supplied just now. So there are two clocks.

import type { Clock } from "../../core/ports.ts";

/** The clock as it is stored: what it showed, and when that was by the wall clock; ms. */
export interface SavedAge {
  readonly ageMs: number;
  readonly wallMs: number;
  /** Absent in a store of an earlier version, whose held keys aged by the other clock. */
  readonly onMs?: number;
}

/** The age of keys in ms: monotonic while the process runs, moved on at a start by the time switched off (design 6). */
export class AgeClock {
  /** The wall clock stands before the last saved time: how long this node was off is unknown. */
  readonly wentBack: boolean;
  readonly #clock: Clock;
  readonly #origin: number;
  readonly #onOrigin: number;

  /** @param skewMs how far the clock of the machine that saved may have been ahead of this one */
  constructor(clock: Clock, saved: SavedAge | undefined, skewMs = 0) {
    this.#clock = clock;
    const off = saved === undefined ? 0 : clock.wallMs() - saved.wallMs;
    this.wentBack = off < -skewMs;
    this.#origin = (saved?.ageMs ?? 0) + Math.max(0, off) - clock.monotonicMs();
    this.#onOrigin = (saved?.onMs ?? saved?.ageMs ?? 0) - clock.monotonicMs();
  }

  /** Milliseconds since this store began to be, for the keys of which this KM is the source. */
  now(): number {
    return this.#origin + this.#clock.monotonicMs();
  }

  /** Milliseconds without the time switched off, for the keys of which this KM is the destination. */
  nowOn(): number {
    // rule: held-age-while-on
    return this.#onOrigin + this.#clock.monotonicMs();
  }

  saved(): Required<SavedAge> {
    return { ageMs: this.now(), wallMs: this.#clock.wallMs(), onMs: this.nowOn() };
  }
}
