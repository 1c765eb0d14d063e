// States that cost whoever reads them carelessly minutes and gigabytes: many links of one name, many runs, long runs.

import type { ExtensionEntry } from "../../../src/keys/ports/peers.ts";
import { holdsEntry, linkEntry, stateOf } from "./lying-peer.ts";

const many = (count: number, entryOf: (index: number) => ExtensionEntry): ExtensionEntry[] =>
  Array.from({ length: count }, (_, index) => entryOf(index));

/** 5,000 runs of one block each. */
const scattered = (from: number): string => Array.from({ length: 5_000 }, (_, at) => from + 2 * at).join();

export const HOSTILE_STATES = {
  "one link told 9,000 times beside 10,000 runs": stateOf([
    ...many(9_000, () => linkEntry("ab")),
    ...many(2, (at) => holdsEntry("ab", 1, scattered(at * 10_000))),
  ]),
  "the most runs that are read, and more": stateOf([
    linkEntry("ab"),
    ...many(14, (at) => holdsEntry("ab", 1, scattered(at * 10_000))),
  ]),
  "9,000 runs of the pair, each without an end": stateOf([
    linkEntry("ab"),
    ...many(9_000, (run) => holdsEntry("ab", run, `0-${2 ** 40}`)),
  ]),
} as const;
