// How long to wait before the other end is dialled again: doubling, with jitter, afresh after a connection that lived.

const FIRST_MS = 200;
/** The longest wait before an end is tried again that is one machine. */
const LONGEST_MS = 30_000;
/** A connection that lived as long as this proves that the other end is well. */
export const LIVED_LONG_MS = 10_000;

/** One other end's back-off. `fraction` gives 0 <= x < 1. */
export class Backoff {
  readonly #fraction: () => number;
  readonly #longestMs: number;
  #fullMs = FIRST_MS;

  constructor(fraction: () => number, longestMs = LONGEST_MS) {
    this.#fraction = fraction;
    this.#longestMs = longestMs;
  }

  /** The wait before the next try: between half and all of 200 ms, 400 ms, … 30 s. */
  nextMs(): number {
    const fullMs = this.#fullMs;
    this.#fullMs = Math.min(2 * fullMs, this.#longestMs);
    return fullMs * (0.5 + this.#fraction() / 2);
  }

  /** A connection has ended that lived this long. */
  lived(ms: number): void {
    if (ms >= LIVED_LONG_MS) this.#fullMs = FIRST_MS;
  }
}
