// Places of shared memory, lent to one job at a time.

import type { Place } from "./shared-memory.ts";

/** A bounded number of places; who wants one waits for it. */
export class Places {
  readonly #idle: number[];
  readonly #places: readonly Place[];
  readonly #queue: ((index: number) => void)[] = [];

  constructor(places: readonly Place[]) {
    this.#places = places;
    this.#idle = [...places.keys()];
  }

  /** Runs a job on a place that nobody else uses, and zeroes its plaintext after. */
  async use<T>(job: (place: Place, index: number) => Promise<T>): Promise<T> {
    const index = this.#idle.pop() ?? (await new Promise<number>((resolve) => this.#queue.push(resolve)));
    const place = this.#places[index];
    if (place === undefined) throw new Error(`there is no place ${index}`);
    try {
      return await job(place, index);
    } finally {
      place.plain.fill(0);
      const next = this.#queue.shift();
      if (next === undefined) this.#idle.push(index);
      else next(index);
    }
  }
}
