// Rests of KMA-keys that are in the way.

import type { SourceKey } from "./source-key.ts";

/** Open KMA-keys whose rest is too short for most requests; beyond it the oldest rest is destroyed. */
const MAX_TAILS = 8;
/** Open KMA-keys at most: where only large keys are asked, each leaves a rest that nobody wants. */
const MAX_OPEN = 32;

/** Of open KMA-keys, oldest first: all but the newest of the rests too short for the default key, and the shortest of too many. */
export function excessOf(open: readonly SourceKey[], shortBytes: number): readonly SourceKey[] {
  if (open.length <= MAX_TAILS) return [];
  const tails = open.filter((key) => key.left < shortBytes);
  const byLength = open.toSorted((a, b) => a.left - b.left);
  const excess = [
    ...tails.slice(0, Math.max(0, tails.length - MAX_TAILS)),
    ...byLength.slice(0, Math.max(0, byLength.length - MAX_OPEN)),
  ];
  return [...new Set(excess)];
}
