// The rules that never break (design 3) as the simulator checks them, and how often each was checked.

import { Violation } from "./trace.ts";

export const RULES = {
  one_use: "design 3.1: no byte is supplied, fetched, or used as pad or tag key twice",
  durable_first: "design 3.1: the mark is on the disk before the first byte leaves",
  forward: "key-protocol 4: no mark on the disk goes back",
  synchronised: "design 3.2: what is supplied is held by the other end, with equal bytes",
  identity: "design 3.3: no key for an application that is not party to it",
  sealed: "design 3.4: no key byte in what the store sees in plain",
  bounded: "design 3.6: queues, stocks and stores stay within their bounds",
  accounted: "design 3.7: each block and key that ends unused is counted with its reason",
  audited: "design 3.7: the audit log tells of every key that was handed out, to whom, and of everything that ended",
  fetchable: "design 6: what was supplied can be fetched by its application until the window ends",
  balanced: "design 8: memory lent is given back, books and disk agree",
  wanted: "key-protocol 6: what a source gave up, and has told, is kept by no destination",
  answered: "design 6: every request is answered in time",
  sound: "no defect shows: no internal error, no exception",
  live: "design 7: when faults end, all that can be served is served again",
} as const;

export type Rule = keyof typeof RULES;

export class Checks {
  readonly #counts = new Map<Rule, { times: number }>();
  /** The first: whoever is in between may swallow what is thrown. */
  #violation: Violation | undefined;

  /** How often each rule was checked. */
  get counts(): ReadonlyMap<Rule, number> {
    return new Map([...this.#counts].map(([rule, { times }]) => [rule, times]));
  }

  /** @throws Violation */
  check(rule: Rule, holds: boolean, text: () => string): void {
    const count = this.#counts.get(rule);
    if (count === undefined) this.#counts.set(rule, { times: 1 });
    else count.times++;
    if (holds) return;
    this.#violation ??= new Violation(rule, text());
    throw this.#violation;
  }

  /** @throws Violation when there was one */
  raise(): void {
    if (this.#violation !== undefined) throw this.#violation;
  }
}
