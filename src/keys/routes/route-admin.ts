// What the QKDN controller sees and sets of this KM's routes.

import type { KmId } from "../../core/ids.ts";
import type { Route } from "../../core/topology.ts";
import type { NumberedResult, RelayTotals } from "../common/relay-log.ts";

/** What the QKDN controller reads and sets of this KM's routes. */
export interface RouteAdmin {
  /** KMs to which keys are relayed: the peers. */
  readonly destinations: readonly KmId[];
  /** Routes that share no KM, over which each KMA-key travels in parts; 1 for no parts. */
  paths(destination: KmId): number;
  /** What the controller has set, in order of priority; undefined when the topology decides. */
  given(destination: KmId): readonly Route[] | undefined;
  /** What the next relay would take if all links had key and no hop had failed. */
  current(destination: KmId): readonly Route[];
  /** Durable when it resolves; relays under way are not disturbed. @throws Fault MALFORMED_REQUEST, STORE_UNAVAILABLE */
  set(destination: KmId, routes: readonly Route[]): Promise<void>;
  /** The topology decides again. @throws like `set` */
  giveBack(destination: KmId): Promise<void>;
  /** How the last relays ended, those above a number, oldest first. */
  resultsAfter(number: number): readonly NumberedResult[];
  totals(destination: KmId): RelayTotals;
}
