// The end of a turn: in the order of the calls, once each, and what a job asks for belongs to the same turn.

import { expect, test } from "vitest";
import { atEndOfTurn } from "../../src/core/turn.ts";

test("jobs run in their order at the end of the turn, those that jobs ask for too", async () => {
  const done: string[] = [];
  atEndOfTurn(() => {
    done.push("first");
    atEndOfTurn(() => done.push("asked for by the first"));
  });
  atEndOfTurn(() => done.push("second"));
  await Promise.resolve();
  expect(done).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual(["first", "second", "asked for by the first"]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toHaveLength(3);
});
