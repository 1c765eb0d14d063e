// How the last relays ended.

import { expect, test } from "vitest";
import { kmId } from "../../../src/core/ids.ts";
import { RESULTS_KEPT, RelayLog } from "../../../src/keys/common/relay-log.ts";

const result = (to: string, outcome: "ready" | "BAD_TAG" = "ready") => ({
  ...{ destination: kmId(to), route: [], outcome, failedAt: outcome === "ready" ? undefined : "km-b", ms: 5 },
});

test("results are numbered, timed, and asked for from a number on", () => {
  let wallMs = 100;
  const log = new RelayLog(() => wallMs++);
  for (const to of ["km-b", "km-c", "km-b"]) log.note(result(to));
  expect(log.after(0).map(({ number, destination, wallMs: at }) => [number, destination, at])).toEqual([
    [1, "km-b", 100],
    [2, "km-c", 101],
    [3, "km-b", 102],
  ]);
  expect(log.after(2).map(({ number }) => number)).toEqual([3]);
  expect(log.after(3)).toEqual([]);
});

test("the oldest are forgotten, the totals are not", () => {
  const log = new RelayLog(() => 0);
  for (let count = 0; count < RESULTS_KEPT + 10; count++)
    log.note(result("km-b", count % 2 === 0 ? "ready" : "BAD_TAG"));
  expect(log.after(0)).toHaveLength(RESULTS_KEPT);
  expect(log.after(0)[0]).toMatchObject({ number: 11, outcome: "ready" });
  expect(log.totals(kmId("km-b"))).toEqual({ ready: RESULTS_KEPT / 2 + 5, failed: RESULTS_KEPT / 2 + 5 });
  expect(log.totals(kmId("km-c"))).toEqual({ ready: 0, failed: 0 });
});
