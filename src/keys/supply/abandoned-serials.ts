// The serials that a source gave up and has not told to the destination yet, which may keep them in vain.

import { formatRuns, inRuns, parseRuns } from "../../core/text/runs.ts";

/** Remembered at most; what is forgotten expires at the destination by its age. */
const MOST = 1024;

/** Serials that were abandoned and not announced to the destination yet; bounded. */
export class AbandonedSerials {
  readonly #serials = new Set<number>();

  get size(): number {
    return this.#serials.size;
  }

  add(serial: number): void {
    this.#serials.add(serial);
    const [oldest] = this.#serials;
    if (this.#serials.size > MOST && oldest !== undefined) this.#serials.delete(oldest);
  }

  /** All that are named in runs. */
  restore(runs: string): void {
    for (const { first, last } of parseRuns(runs)) {
      for (let serial = first; serial <= last; serial++) this.add(serial);
    }
  }

  /** The destination was told of these, in runs. */
  told(runs: string): void {
    const isTold = inRuns(parseRuns(runs));
    for (const serial of this.#serials) if (isTold(serial)) this.#serials.delete(serial);
  }

  [Symbol.iterator](): Iterator<number> {
    return this.#serials.values();
  }

  /** In runs, ascending. */
  toString(): string {
    return formatRuns([...this.#serials].sort((a, b) => a - b));
  }
}
