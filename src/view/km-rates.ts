// Keys a second of one KM and of its applications, from counters that only grow while its process lives.

import type { Overview } from "./summaries.ts";

interface Counted {
  readonly atMs: number;
  readonly started: string;
  readonly keys: number;
  readonly apps: ReadonlyMap<string, number>;
}

/** Rates are over the last answers within this time. */
const OVER_MS = 4000;

/** Keys per second of each application, from counters that may begin anew. */
export class KmRates {
  #counted: Counted[] = [];

  add({ node, apps }: Overview, atMs: number): void {
    if (this.#counted.at(-1)?.started !== node.started_at) this.#counted = [];
    this.#counted.push({
      atMs,
      started: node.started_at,
      keys: node.keys_supplied + node.keys_fetched,
      apps: new Map(apps.map(({ app, supplied, fetched }) => [app, supplied + fetched])),
    });
    while (this.#counted.length > 2 && atMs - (this.#counted[0]?.atMs ?? 0) > OVER_MS) this.#counted.shift();
  }

  clear(): void {
    this.#counted = [];
  }

  get keysPerS(): number {
    return this.#perS(({ keys }) => keys);
  }

  get appsPerS(): ReadonlyMap<string, number> {
    const names = this.#counted.at(-1)?.apps.keys() ?? [];
    return new Map([...names].map((app) => [app, this.#perS(({ apps }) => apps.get(app) ?? 0)]));
  }

  #perS(count: (of: Counted) => number): number {
    const [first, last] = [this.#counted[0], this.#counted.at(-1)];
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return ((count(last) - count(first)) * 1000) / (last.atMs - first.atMs);
  }
}
