// Indexes of a stream that are done with, as runs: a stream that is read in order has one, however long it is.

interface Run {
  first: number;
  last: number;
}

/** A set of indices, kept as runs. */
export class IndexRuns {
  /** In their order, none touching another. */
  readonly #runs: Run[] = [];

  /** How many runs there are: the memory that they take. */
  get runs(): number {
    return this.#runs.length;
  }

  has(index: number): boolean {
    const run = this.#runs[this.#after(index) - 1];
    return run !== undefined && index <= run.last;
  }

  /** Harmless when it is there already. */
  add(index: number): void {
    if (this.has(index)) return;
    const at = this.#after(index);
    const [before, behind] = [this.#runs[at - 1], this.#runs[at]];
    const joinsBefore = before !== undefined && before.last === index - 1;
    const joinsBehind = behind !== undefined && behind.first === index + 1;
    if (joinsBefore && joinsBehind) {
      before.last = behind.last;
      this.#runs.splice(at, 1);
    } else if (joinsBefore) before.last = index;
    else if (joinsBehind) behind.first = index;
    else this.#runs.splice(at, 0, { first: index, last: index });
  }

  /** Where the runs begin that lie wholly behind `index`. */
  #after(index: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#runs[middle]?.first ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
