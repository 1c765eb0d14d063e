// How the last relays ended: for the QKDN controller and the operator. Bounded.

import type { KmId } from "../../core/ids.ts";
import type { NumberedResult, RelayResult, RelayTotals } from "../report.ts";

/** How many of the last relays are remembered. */
export const RESULTS_KEPT = 256;
const NONE: RelayTotals = { ready: 0, failed: 0 };

/** The last relays that began here, numbered, and the totals by destination. */
export class RelayLog {
  readonly #wallMs: () => number;
  readonly #kept: NumberedResult[] = [];
  readonly #totals = new Map<KmId, RelayTotals>();
  #number = 0;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  note(result: RelayResult): void {
    this.#kept.push({ ...result, number: ++this.#number, wallMs: this.#wallMs() });
    if (this.#kept.length > RESULTS_KEPT) this.#kept.shift();
    const { ready, failed } = this.totals(result.destination);
    const isReady = result.outcome === "ready";
    this.#totals.set(result.destination, { ready: ready + Number(isReady), failed: failed + Number(!isReady) });
  }

  /** The last ones above a number, oldest first. */
  after(number: number): readonly NumberedResult[] {
    return this.#kept.filter((result) => result.number > number);
  }

  /** Since the start. */
  totals(destination: KmId): RelayTotals {
    return this.#totals.get(destination) ?? NONE;
  }
}
