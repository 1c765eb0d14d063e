// How much of something may begin: so many at once after calm, then so many a second.

/** An allowance that fills with time. */
export class Allowance {
  readonly #perS: number;
  readonly #atOnce: number;
  #left: number;
  #filledMs = performance.now();

  constructor(perS: number, atOnce: number) {
    this.#perS = perS;
    this.#atOnce = atOnce;
    this.#left = atOnce;
  }

  /** What is left now. */
  get left(): number {
    const nowMs = performance.now();
    this.#left = Math.min(this.#atOnce, this.#left + ((nowMs - this.#filledMs) / 1_000) * this.#perS);
    this.#filledMs = nowMs;
    return this.#left;
  }

  /** Milliseconds until one may begin; 0 when it may now. */
  get untilMs(): number {
    const { left } = this;
    return left >= 1 ? 0 : Math.ceil(((1 - left) / this.#perS) * 1_000);
  }

  take(): void {
    this.#left = this.left - 1;
  }

  /** Gives so many back. */
  give(count: number): void {
    this.#left = Math.min(this.#atOnce, this.left + count);
  }
}
