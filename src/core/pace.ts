// Work that can wait, done in slices: between two the event loop turns, and what is more urgent goes first (design 9).
//
//   supply, fetching        never asks: done as the sockets bring it
//   kx ─> intake ─> housekeeping       share what one turn of the loop has for them, in this order

/** Most urgent first. */
const RANKS = ["kx", "intake", "housekeeping"] as const;

/** The kinds of work that can wait, most urgent first. */
export type Rank = (typeof RANKS)[number];

/** What one turn of the loop has for all of them: far below the 5 ms that nothing may hold it, also on a slow machine. */
export const SLICE_US = 2_000;
/** In one of so many turns the least urgent goes first: it may have to wait, but not for ever. */
const TURNS_TO_LAST = 8;

interface Waiting {
  readonly us: number;
  readonly resolve: () => void;
}

/** How a turn of the event loop is waited for, and how long a piece of work took. */
export interface PaceParts {
  /** Calls `then` in the next turn of the event loop, after what its sockets bring. */
  readonly turn: (then: () => void) => void;
  /** Microseconds, to end slices that take longer than was thought; what is deterministic has none. */
  readonly nowUs?: () => number;
}

/**
 * Gives background work its turns: a bounded time in each turn of the event loop, by rank, so that supply never waits
 * long.
 */
export class Pace {
  readonly #parts: PaceParts;
  readonly #queues: Readonly<Record<Rank, Waiting[]>> = { kx: [], intake: [], housekeeping: [] };
  #waiting = 0;
  #doneUs = 0;
  #begunUs = 0;
  #isTurning = false;
  #turns = 0;

  constructor(parts: PaceParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when work of about `us` microseconds may be done: at once, unless this turn's slice is used up. A piece that
   * is longer than a slice is let through whole. In one rank in the order of the calls.
   */
  take(rank: Rank, us: number): Promise<void> {
    if (!this.#isTurning) this.#begin();
    if (this.#waiting === 0 && this.#hasRoom()) {
      this.#doneUs += us;
      return Promise.resolve();
    }
    this.#waiting++;
    return new Promise((resolve) => void this.#queues[rank].push({ us, resolve }));
  }

  /** A slice begins, and ends with the turn. */
  #begin(): void {
    this.#isTurning = true;
    this.#doneUs = 0;
    this.#begunUs = this.#nowUs();
    this.#parts.turn(() => this.#next());
  }

  #next(): void {
    this.#isTurning = false;
    if (this.#waiting === 0) return;
    this.#begin();
    this.#turns++;
    const order = this.#turns % TURNS_TO_LAST === 0 ? RANKS.toReversed() : RANKS;
    for (const rank of order) this.#wake(this.#queues[rank]);
  }

  #wake(queue: Waiting[]): void {
    let woken = 0;
    for (const { us, resolve } of queue) {
      if (!this.#hasRoom()) break;
      this.#doneUs += us;
      woken++;
      resolve();
    }
    queue.splice(0, woken);
    this.#waiting -= woken;
  }

  #hasRoom(): boolean {
    return this.#doneUs < SLICE_US && this.#nowUs() - this.#begunUs < SLICE_US;
  }

  #nowUs(): number {
    return this.#parts.nowUs?.() ?? 0;
  }
}
