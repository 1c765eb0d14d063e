// Which relay to one destination comes next, if any: a function of what there is, which changes nothing.
//
//   requests wait for more than is under way ──> "waiting" ┐
//   below the low mark, or filling up to the high one ──> "stock" ┴──> routes of the relay, and which still lack a block

import type { KmId } from "../../core/ids.ts";
import type { Urgency } from "../links/block-scheduler.ts";
import type { FirstHop, RouteChoice } from "../routes/route-choice.ts";
import type { LoadedHop } from "./source-relay.ts";

/** How full a stock is, in whole KMA-keys ready or under way: remainders too short for most requests are no stock. */
export interface Fullness {
  readonly total: number;
  readonly stockLow: number;
  readonly stockHigh: number;
  /** It was below the low mark, and has not been at the high one since. */
  readonly wasFilling: boolean;
}

/** Whether it is filled: from the low mark up to the high one. */
export const isFilling = ({ total, stockLow, stockHigh, wasFilling }: Fullness): boolean =>
  total < stockLow || (wasFilling && total < stockHigh);

/** A relay that lacks blocks of some of its routes. */
export interface LoadingRelay {
  readonly hops: readonly FirstHop[];
  /** At least one. */
  readonly loaded: readonly LoadedHop[];
  /** Its routes were chosen long ago, or one of their hops has closed: others are chosen. */
  readonly isStale: boolean;
}

/** What decides the next relay to a destination. */
export interface RelayState extends Fullness {
  readonly destination: KmId;
  /** A relay can be begun now. One that is begun without token, store or audit log costs a block. */
  readonly isAble: boolean;
  /** Requests wait for more than is under way. */
  readonly isAwaited: boolean;
  /** A stock is kept for it. */
  readonly isServed: boolean;
  readonly inFlight: number;
  readonly loading: LoadingRelay | undefined;
}

/** The relay that comes next. */
export interface NextRelay {
  readonly urgency: Urgency;
  readonly hops: readonly FirstHop[];
  /** Those that have a block; none where the routes were chosen for it now. */
  readonly loaded: readonly LoadedHop[];
  /** Those that have none yet. */
  readonly missing: readonly FirstHop[];
}

/** Undefined when there is to be none now. */
export function nextRelay(state: RelayState, routes: Pick<RouteChoice, "hops" | "areDoubtful">): NextRelay | undefined {
  const urgency = urgencyOf(state);
  if (urgency === undefined || !state.isAble) return undefined;
  const { destination, loading, inFlight } = state;
  // Routes with blocks are not changed for the stock of a link: that changes with each block.
  const { hops, loaded } =
    loading === undefined || loading.isStale ? { hops: routes.hops(destination), loaded: [] } : loading;
  // What is sent over a dry hop is lost on all the links before it.
  if (inFlight > 0 && routes.areDoubtful(destination, hops)) return undefined;
  const missing = hops.filter((hop) => !loaded.some(({ route }) => route === hop.route));
  return missing.length === 0 ? undefined : { urgency, hops, loaded, missing };
}

/** First for those who wait, then for the stock. */
function urgencyOf(state: RelayState): Urgency | undefined {
  if (state.isAwaited) return "waiting";
  return state.isServed && isFilling(state) ? "stock" : undefined;
}
