// What a module reports of its optics, and how that stands in its status.

import type { PayloadOf } from "../messages.ts";

/** What a module reports of its optics. */
export interface Health {
  /** 0 to 1. */
  readonly qber: number;
  readonly keyRateBitsPerS: number;
  readonly alarms: readonly string[];
}

/** `held` counts blocks: those it has now, and those it dropped. */
export function statusOf(health: Health, held: { readonly blocks: number; readonly dropped: number }) {
  const { qber, keyRateBitsPerS, alarms } = health;
  const { blocks, dropped } = held;
  const status: PayloadOf<"status"> = {
    qber: Math.round(qber * 1e6),
    keyRate: Math.round(keyRateBitsPerS),
    held: blocks,
    dropped,
    alarms,
  };
  return status;
}
