// Both vendor's boxes of one simulated link, each with a listener of its own.

import type { Clock, Random } from "../../../src/core/ports.ts";
import type { BoxPapers, BoxPlace, OneBox, RunningBox } from "./box.ts";
import { startEtsi004Box } from "./etsi004-box.ts";
import { startEtsi014Box } from "./etsi014-box.ts";
import type { BoxFaults } from "./faults.ts";
import { type BoxEnd, type PairRate, SharedKeys } from "./shared-keys.ts";

/** What speaks to the boxes, by the name of the driver. */
export const BOX_KINDS = { etsi014: startEtsi014Box, etsi004: startEtsi004Box } as const satisfies Readonly<
  Record<string, (place: BoxPlace, box: OneBox, keys: SharedKeys) => Promise<RunningBox>>
>;
/** Which standard the boxes speak. */
export type BoxKind = keyof typeof BOX_KINDS;

/** Two simulated boxes at the ends of one link. */
export interface BoxPairOptions {
  readonly kind: BoxKind;
  readonly places: Readonly<Record<BoxEnd, BoxPlace>>;
  readonly papers: Readonly<Record<BoxEnd, BoxPapers>>;
  /** What each end calls the KM that comes to it. */
  readonly saes: Readonly<Record<BoxEnd, string>>;
  readonly rate: PairRate;
  readonly faults: BoxFaults;
}

/** Resolves when both listen; dispose ends both. @throws Error when one cannot */
export async function startBoxPair(
  { kind, places, papers, saes, rate, faults }: BoxPairOptions,
  ports: { readonly clock: Clock; readonly chance: Random },
): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const keys = new SharedKeys(rate, faults, ports);
  for (const end of ["a", "b"] as const) {
    opened.use(await BOX_KINDS[kind](places[end], { end, saes, papers: papers[end] }, keys));
  }
  return opened.move();
}
