// Which relay comes next: a table of states, without a network.

import { expect, test } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import type { LinkInventory } from "../../../src/keys/links/link-inventory.ts";
import { isFilling, type LoadingRelay, nextRelay, type RelayState } from "../../../src/keys/relay/next-relay.ts";
import type { LoadedHop } from "../../../src/keys/relay/source-relay.ts";
import type { FirstHop } from "../../../src/keys/routes/route-choice.ts";

const hop = (id: string): FirstHop => ({
  route: [kmId(id)],
  path: [kmId("km-a"), kmId(id), kmId("km-z")],
  first: {} as FirstHop["first"],
  link: {} as LinkInventory,
});
const [B, C, D] = [hop("km-b"), hop("km-c"), hop("km-d")];
const loaded = (of: FirstHop): LoadedHop => ({ ...of, block: {}, connection: {} }) as unknown as LoadedHop;
const LOADING: LoadingRelay = { hops: [B, C], loaded: [loaded(B)], isStale: false };

const STATE: RelayState = {
  destination: kmId("km-z"),
  ...{ isAble: true, isAwaited: false, isServed: true, inFlight: 0, loading: undefined },
  ...{ total: 1, stockLow: 2, stockHigh: 4, wasFilling: false },
};

/** Routes as they would be chosen now. */
const routes = (hops: readonly FirstHop[], isDoubtful = false) => ({ hops: () => hops, areDoubtful: () => isDoubtful });

/** Urgency, routes whose blocks are missing, and how many are loaded. */
function next(state: Partial<RelayState>, around = routes([C, D])) {
  const found = nextRelay(Object.freeze({ ...STATE, ...state }), around);
  return found && [found.urgency, found.missing.map(({ route }) => `${route}`).join(" "), found.loaded.length];
}

test.each([
  ["a stock below the low mark", {}, ["stock", "km-c km-d", 0]],
  ["one at the low mark", { total: 2 }, undefined],
  ["one that was below it and is filled", { total: 3, wasFilling: true }, ["stock", "km-c km-d", 0]],
  ["one at the high mark", { total: 4, wasFilling: true }, undefined],
  ["requests that wait, whatever the stock", { total: 9, isAwaited: true }, ["waiting", "km-c km-d", 0]],
  ["a destination without applications", { isServed: false }, undefined],
  ["one whose applications wait all the same", { isServed: false, isAwaited: true }, ["waiting", "km-c km-d", 0]],
  ["no token, connection or window", { isAble: false, isAwaited: true }, undefined],
  ["a relay that has some of its blocks", { loading: LOADING }, ["stock", "km-c", 1]],
  ["one that has all", { loading: { ...LOADING, loaded: [loaded(B), loaded(C)] } }, undefined],
  ["one whose routes were chosen too long ago", { loading: { ...LOADING, isStale: true } }, ["stock", "km-c km-d", 0]],
] as const)("%s", (_what, state, expected) => {
  expect(next(state)).toEqual(expected);
});

test("without a route there is none, and over a doubtful hop one at a time", () => {
  expect(next({}, routes([]))).toBeUndefined();
  expect(next({ inFlight: 1 }, routes([B], true))).toBeUndefined();
  expect(next({ inFlight: 0 }, routes([B], true))).toEqual(["stock", "km-b", 0]);
  expect(next({ inFlight: 1 }, routes([B]))).toEqual(["stock", "km-b", 0]);
});

test("a stock is filled from the low mark up to the high one, and not again before it is below the low one", () => {
  let wasFilling = false;
  const seen = [3, 2, 1, 2, 3, 4, 3, 2, 1].map((total) => {
    wasFilling = isFilling({ total, stockLow: 2, stockHigh: 4, wasFilling });
    return wasFilling;
  });
  expect(seen).toEqual([false, false, true, true, true, false, false, false, true]);
});
