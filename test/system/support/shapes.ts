// Networks of a shape: lines, rings and a diamond, one app at every KM, everybody told of all links.

import type { Plan, PlannedLink } from "./plan.ts";

const LETTERS = "abcdefghij";
const kmAt = (at: number): string => `km-${LETTERS[at]}`;

/** So that a few hundred kbit/s make many KMA-keys. */
export const BLOCK_BYTES = 4_096;
const CONFIG = {
  node: { log_level: "debug" },
  supply: { stock_low: 2, stock_high: 3, relay_timeout_ms: 5_000 },
  links: { "*": { block_bytes: BLOCK_BYTES, keep_blocks: 1_024 } },
} as const;

const link = (one: number, other: number, rateBitsPerS: number): PlannedLink => ({
  id: `${LETTERS[one]}${LETTERS[other]}`,
  kms: [kmAt(one), kmAt(other)],
  module: { rateBitsPerS },
});

function plan(kms: number, pairs: readonly (readonly [number, number])[], rateBitsPerS: number): Plan {
  return {
    kms: Array.from({ length: kms }, (_, at) => ({ id: kmAt(at), apps: [`app-${LETTERS[at]}`] })),
    links: pairs.map(([one, other]) => link(one, other, rateBitsPerS)),
    topology: true,
    config: CONFIG,
  };
}

const steps = (kms: number) => Array.from({ length: kms - 1 }, (_, at) => [at, at + 1] as const);

/** km-a ══ab══ km-b ══bc══ … */
export const line = (kms: number, rateBitsPerS = 2_000_000): Plan => plan(kms, steps(kms), rateBitsPerS);

/** A line whose ends meet. */
export const ring = (kms: number, rateBitsPerS = 2_000_000): Plan =>
  plan(kms, [...steps(kms), [0, kms - 1]], rateBitsPerS);

/** km-a to km-d over km-b or over km-c. */
export const diamond = (rateBitsPerS = 2_000_000): Plan =>
  plan(
    4,
    [
      [0, 1],
      [0, 2],
      [1, 3],
      [2, 3],
    ],
    rateBitsPerS,
  );
