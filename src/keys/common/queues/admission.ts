// What requests of applications have in common whatever peer their keys are shared with: quotas, and room to wait.

import type { Quotas } from "../quota.ts";

/** The applications' quotas, and how many requests may wait for key at a time, over all peers together. */
export class Admission {
  readonly quotas: Quotas;
  readonly #policy: { readonly maxWaiting: number };
  #waiting = 0;

  /** `policy` may change while the KM runs. */
  constructor(quotas: Quotas, policy: { readonly maxWaiting: number }) {
    this.quotas = quotas;
    this.#policy = policy;
  }

  /** Requests that wait, over all peers. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether no other request may wait. */
  get isFull(): boolean {
    return this.#waiting >= this.#policy.maxWaiting;
  }

  /** One more request waits, or one fewer. */
  count(change: 1 | -1): void {
    this.#waiting += change;
  }
}
