// The locked memory that answers are written in, as equal parts: taken, waited for, zeroed.

/** A part of the memory, its taker's until `release`. */
export interface Part {
  readonly bytes: Uint8Array;
  /** Zeroes the first `used` bytes, which must be all that was written, and gives the part back. Once. */
  release(used: number): void;
}

/** Largest part: no answer of one request is written in more than this at a time. */
const PART_BYTES = 65_536;
/** Smallest part: the head of an answer and one key of the largest size. */
const LEAST_BYTES = 8192;

/** The parts of one region of locked memory: each lent to one answer at a time, zeroed when it is given back. */
export class Parts {
  readonly #free: Uint8Array[] = [];
  readonly #waiting: ((part: Part) => void)[] = [];
  #serving = false;

  /** @throws RangeError when `memory` is too small for one answer */
  constructor(memory: Uint8Array) {
    if (memory.length < LEAST_BYTES) throw new RangeError(`answers need at least ${LEAST_BYTES} bytes of memory`);
    const size = Math.min(PART_BYTES, memory.length);
    for (let at = 0; at + size <= memory.length; at += size) this.#free.push(memory.subarray(at, at + size));
  }

  /** Calls `then` with a part: at once when one is free, else in the order asked. `then` must not throw. */
  take(then: (part: Part) => void): void {
    const bytes = this.#waiting.length === 0 ? this.#free.pop() : undefined;
    if (bytes === undefined) this.#waiting.push(then);
    else then(this.#lend(bytes));
  }

  #lend(bytes: Uint8Array): Part {
    return {
      bytes,
      release: (used) => {
        bytes.fill(0, 0, used);
        this.#free.push(bytes);
        this.#serve();
      },
    };
  }

  /** A loop and no recursion: those served often release before they return. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    while (this.#waiting.length > 0) {
      const bytes = this.#free.pop();
      if (bytes === undefined) break;
      this.#waiting.shift()?.(this.#lend(bytes));
    }
    this.#serving = false;
  }
}
