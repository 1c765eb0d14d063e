// Homes that an application had before it moved: keys from before the move are fetched there until none can be left.

import type { KmId } from "../../core/ids.ts";

/** A KM that was an application's home. */
export interface FormerHome {
  readonly km: KmId;
  /** Until then, in ms since 1970, keys from before the move may be fetched. */
  readonly untilMs: number;
}

/** Of one application: whoever moves it more often than keys live is not believed to need all of them. */
export const MOST_FORMER = 2;

interface Move {
  readonly from: KmId;
  readonly to: KmId;
  readonly nowMs: number;
  readonly untilMs: number;
}

/** The former homes after a move, the latest first. */
export function formerAfterMove(before: readonly FormerHome[], move: Move): readonly FormerHome[] {
  const rest = before.filter(({ km, untilMs }) => untilMs > move.nowMs && km !== move.from && km !== move.to);
  return [{ km: move.from, untilMs: move.untilMs }, ...rest].slice(0, MOST_FORMER);
}
