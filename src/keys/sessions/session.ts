// One session as one of its two KMs knows it: who takes part, and what of its budget is left.
//
//   opening ──both agree──> open ──budget, idle, refusal, stop──> ended
//      └─────────refused or given up─────────────────────────────^

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { AppLine, SessionId } from "../ports/sessions.ts";

/** Who takes part, and how far. */
export interface SessionTerms {
  readonly id: SessionId;
  /** The KM at the other end; this one when both applications are at home here. */
  readonly peer: KmId;
  readonly initiator: AppId;
  readonly destination: AppId;
  /** The most keys that may be supplied in it. */
  readonly budget: number;
}

/** One session: its terms, its state, and what of its budget is left. */
export class Session {
  readonly terms: SessionTerms;
  state: "opening" | "open" | "ended" = "opening";
  /** At the destination's KM: the connection over which its application took part last. */
  line: AppLine | undefined;
  /** When it was last used, on the monotonic clock. */
  usedAt = 0;
  #spent = 0;
  #reserved = 0;
  readonly #waits = new Set<(fault: Fault) => void>();

  constructor(terms: SessionTerms) {
    this.terms = terms;
  }

  /** Keys supplied in it. */
  get spent(): number {
    return this.#spent;
  }

  /** Keys that may still be asked: those under way are not among them. */
  get left(): number {
    return this.terms.budget - this.#spent - this.#reserved;
  }

  get isSpent(): boolean {
    return this.#spent === this.terms.budget;
  }

  /** Something is under way in it: it is not idle. */
  get isBusy(): boolean {
    return this.state === "opening" || this.#reserved > 0;
  }

  /** Sets keys of the budget apart. @throws Fault TOO_MANY_KEYS when fewer are left */
  reserve(count: number): void {
    if (count > this.left) {
      throw new Fault("TOO_MANY_KEYS", { text: `${this.left} keys of the session's budget are left, not ${count}` });
    }
    this.#reserved += count;
  }

  /** Ends a reservation: `spent` of its keys were acknowledged, the rest is given back. */
  settle(reserved: number, spent: number): void {
    this.#reserved -= reserved;
    this.#spent += spent;
  }

  /** `fail` is called when what is waited for in this session will not come. The function returned ends that. */
  onFailure(fail: (fault: Fault) => void): () => void {
    this.#waits.add(fail);
    return () => void this.#waits.delete(fail);
  }

  /** Ends what waits in this session. */
  failAll(fault: Fault): void {
    for (const fail of [...this.#waits]) fail(fault);
  }
}
