// How often blocks come: the measured rate of a link's module, over its last blocks.

const WINDOW = 32;

/** When the last blocks of one link came. */
export class ArrivalRate {
  readonly #arrivals: number[] = [];

  /** A block has come. */
  arrived(nowMs: number): void {
    this.#arrivals.push(nowMs);
    if (this.#arrivals.length > WINDOW) this.#arrivals.shift();
  }

  /** Mean time between blocks (ms) over the last arrivals, growing while none comes; undefined before two have come. */
  interval(nowMs: number): number | undefined {
    const [first] = this.#arrivals;
    const { last } = this;
    if (first === undefined || last === undefined || this.#arrivals.length < 2) return undefined;
    const mean = (last - first) / (this.#arrivals.length - 1);
    return Math.max(mean, (nowMs - first) / this.#arrivals.length, 0.001);
  }

  /** When the last block came. */
  get last(): number | undefined {
    return this.#arrivals.at(-1);
  }
}
