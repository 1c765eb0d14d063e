// How long to wait before the other end is dialled again: doubling, with jitter. Two waits grow, each for itself: of an end
// that cannot be reached, until it is reached; of connections that end soon, until one has lived. An end that was away for
// long and closes its first connection to begin anew is so dialled again at once, and one that closes each is not.

const FIRST_MS = 200;
/** The longest wait before an end is tried again that is one machine. */
const LONGEST_MS = 30_000;
/** A connection that lived as long as this proves that the other end is well. */
export const LIVED_LONG_MS = 10_000;

/** One other end's back-off. `fraction` gives 0 <= x < 1. */
export class Backoff {
  readonly #fraction: () => number;
  readonly #longestMs: number;
  #unreachedMs = FIRST_MS;
  #endedMs = FIRST_MS;
  /** A connection has ended, and nothing was tried since. */
  #hasEnded = false;

  constructor(fraction: () => number, longestMs = LONGEST_MS) {
    this.#fraction = fraction;
    this.#longestMs = longestMs;
  }

  /** The wait before the next try: between half and all of 200 ms, 400 ms, … 30 s. */
  nextMs(): number {
    const fullMs = this.#hasEnded ? this.#endedMs : this.#unreachedMs;
    const nextMs = Math.min(2 * fullMs, this.#longestMs);
    if (this.#hasEnded) this.#endedMs = nextMs;
    else this.#unreachedMs = nextMs;
    this.#hasEnded = false;
    return fullMs * (0.5 + this.#fraction() / 2);
  }

  /** A connection has ended that lived this long: the next wait is for that. */
  lived(ms: number): void {
    this.#hasEnded = true;
    this.#unreachedMs = FIRST_MS;
    if (ms >= LIVED_LONG_MS) this.#endedMs = FIRST_MS;
  }
}
