// Slices of work: how much is done in one turn of the event loop, in which order, and that nobody waits for ever.

import { expect, test } from "vitest";
import { Pace, type Rank, SLICE_US } from "../../src/core/pace.ts";

/** A loop that turns when a test says so. */
function bench() {
  let turns: (() => void)[] = [];
  let nowUs = 0;
  const pace = new Pace({ turn: (then) => void turns.push(then), nowUs: () => nowUs });
  return {
    pace,
    /** The pieces done, by name. */
    done: [] as string[],
    pass: (us: number) => {
      nowUs += us;
    },
    async turn() {
      await hops();
      const due = turns;
      turns = [];
      for (const then of due) then();
      await hops();
    },
    get turning() {
      return turns.length;
    },
  };
}

/** Lets what was resolved go on, without a turn of the loop. */
async function hops(): Promise<void> {
  for (let hop = 0; hop < 40; hop++) await Promise.resolve();
}

async function work(at: ReturnType<typeof bench>, rank: Rank, name: string, us: number, pieces = 1): Promise<void> {
  for (let piece = 0; piece < pieces; piece++) {
    await at.pace.take(rank, us);
    at.done.push(name);
  }
}

test("what fits one slice is done at once, and the loop is asked to turn once", async () => {
  const at = bench();
  await work(at, "housekeeping", "h", SLICE_US / 4, 4);
  expect(at.done).toHaveLength(4);
  expect(at.turning).toBe(1);
});

test("design 9: a turn of the loop does one slice of whatever there is, and the rest waits", async () => {
  const at = bench();
  void work(at, "housekeeping", "h", SLICE_US / 4, 10);
  await at.turn();
  expect(at.done.length).toBe(8);
  await at.turn();
  expect(at.done.length).toBe(10);
  await at.turn();
  expect(at.turning).toBe(0);
});

test("design 9: what is more urgent goes first in each turn, in the order of its calls", async () => {
  const at = bench();
  await work(at, "housekeeping", "first", SLICE_US);
  void work(at, "housekeeping", "h", SLICE_US / 2);
  void work(at, "intake", "i", SLICE_US / 4);
  void work(at, "kx", "k1", SLICE_US / 4);
  void work(at, "kx", "k2", SLICE_US / 4);
  expect(at.done).toEqual(["first"]);
  await at.turn();
  expect(at.done).toEqual(["first", "k1", "k2", "i", "h"]);
});

test("what is urgent all the time does not keep the rest waiting for ever", async () => {
  const at = bench();
  for (const name of ["a", "b"]) void work(at, "kx", name, SLICE_US, 20);
  void work(at, "housekeeping", "h", 1);
  for (let turns = 0; turns < 8; turns++) await at.turn();
  expect(at.done).toContain("h");
  expect(at.done.filter((name) => name !== "h").length).toBeGreaterThan(6);
});

test("a piece that is longer than a slice is done whole, and ends it", async () => {
  const at = bench();
  void work(at, "intake", "long", 9 * SLICE_US, 2);
  void work(at, "intake", "next", 1);
  void work(at, "intake", "last", 1);
  await hops();
  expect(at.done).toEqual(["long"]);
  await at.turn();
  expect(at.done).toEqual(["long", "next", "last", "long"]);
});

test("a slice ends when it has taken longer than was thought", async () => {
  const at = bench();
  await at.pace.take("housekeeping", 1);
  at.pass(SLICE_US);
  void work(at, "housekeeping", "h", 1);
  await Promise.resolve();
  expect(at.done).toEqual([]);
  await at.turn();
  expect(at.done).toEqual(["h"]);
});
