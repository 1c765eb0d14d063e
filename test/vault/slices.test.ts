// Slices of work, with turns of the event loop between them.

import { expect, test } from "vitest";
import { Slices } from "../../src/vault/slices.ts";

test("design 9: what comes at once is done a slice at a time, in order, and others get their turn in between", async () => {
  const slices = new Slices(2);
  const done: string[] = [];
  setImmediate(() => done.push("request"));
  const all = ["a", "b", "c", "d", "e"].map((name) => slices.take(1).then(() => done.push(name)));
  await all[1];
  expect(done).toEqual(["a", "b"]);
  await all[3];
  expect(done).toEqual(["a", "b", "request", "c", "d"]);
  await all[4];
  expect(done).toEqual(["a", "b", "request", "c", "d", "e"]);
});

test("a piece longer than a slice is taken whole, and the next waits for a turn", async () => {
  const slices = new Slices(2);
  await slices.take(9);
  let isDone = false;
  const next = slices.take(1).then(() => {
    isDone = true;
  });
  await Promise.resolve();
  expect(isDone).toBe(false);
  await next;
});
