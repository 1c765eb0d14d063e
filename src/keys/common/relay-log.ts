// How the last relays ended: for the QKDN controller and the operator. Bounded.

import type { FaultCode } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Route } from "../../core/topology.ts";

/** One key relay, or one part of a key that travels in parts, as its source saw it end. */
export interface RelayResult {
  readonly destination: KmId;
  readonly route: Route;
  readonly outcome: "ready" | FaultCode;
  /** The KM that could not go on, where the failure names one. */
  readonly failedAt: string | undefined;
  /** From the offer to the end. */
  readonly ms: number;
}

/** `number` counts all results since the start, from 1. */
export interface NumberedResult extends RelayResult {
  readonly number: number;
  /** When it ended, in ms since 1970. */
  readonly wallMs: number;
}

/** How many relays to one destination came to a ready KMA-key since the start, and how many did not. */
export interface RelayTotals {
  readonly ready: number;
  readonly failed: number;
}

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
