// The simulator for minutes: many seeds, large networks, and every rule broken once.

import { describe, expect, test } from "vitest";
import { SEED } from "../support/seed.ts";
import { BREAKS } from "./broken.ts";
import { expectFound, expectFoundAmongMembers, simulate } from "./command.ts";
import { runMembers } from "./members/world.ts";
import { run } from "./run.ts";
import { summary } from "./summary.ts";

/** Which seed shows what is broken soonest, and how many faults it takes. */
const SHOWN: Readonly<Record<string, readonly [seed: number, faults: number]>> = {
  "carves again what a restart lost": [9, 3],
  "carves beyond the durable mark": [2, 2],
  "lets a key of several applications be fetched again": [2, 2],
  "supplies what the other end has lost": [8, 2],
  "keeps the late relay of an abandoned serial": [1, 1],
  "lets held keys age while it is off": [1, 1],
  "believes a copy of its store that peers have seen more of": [12, 2],
};

describe("design 3: every rule broken on purpose", () => {
  test.each(Object.entries(BREAKS))("is found when the code %s", async (name, row) => {
    if ("isOfMembers" in row) return expectFoundAmongMembers(name, row.rule);
    const [first, faults] = SHOWN[name] ?? [1, 2];
    await expectFound(name, row.rule, { first, faults, ...("needs" in row && { needs: row.needs }) });
  });
});

test("a campaign makes what it finds small: fewer faults, a shorter time", async () => {
  const broken = ["--break", "takes a fetch that was refused for done"];
  const { text, code } = await simulate(
    "--seed",
    "1",
    "--nodes",
    "3",
    "--faults",
    "2",
    "--runs",
    "2",
    "--jobs",
    "2",
    "--without",
    "lasting_fault,silence,strict_peers",
    ...broken,
  );
  const [, hours, without] =
    /fewer faults: npm run simulate -- --seed \d --nodes 3 --hours (\S+) --faults 2 --without (\S+)$/m.exec(text) ?? [];
  expect(Number(hours)).toBeLessThan(1);
  expect(without?.split(",").length).toBeGreaterThan(20);
  expect(code).toBe(1);
});

/** What campaigns have looked into for too few steps, or what takes simulated hours: not with seeds that nobody has tried. */
const NEWEST = [
  ...(["strict_peers", "lasting_fault", "silence"] as const),
  ...(["multicast", "uneven_calls", "copy_of_start", "reload", "reload_share"] as const),
];

test.each(Array.from({ length: 8 }, (_, index) => SEED + index))(
  "design 3: every rule holds with seed %i",
  async (seed) => {
    const outcome = await run({ seed, nodes: 2 + (seed % 8), hours: 0.5, faults: 1, without: NEWEST });
    expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
  },
);

test.each([1, 2, 3, 4])("design 3: every rule holds with everything that there is, and seed %i", async (seed) => {
  const outcome = await run({ seed, nodes: 4, hours: 0.1, faults: 1 });
  expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
});

test.each([
  [10, 0.02],
  [100, 0.02],
  [1_000, 0.01],
])("design 5: among %i KMs a relay costs what its hops cost, and every rule holds", async (nodes, hours) => {
  const outcome = await run({ seed: 2, nodes, hours, faults: 0 });
  expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
  expect(outcome.world.oracle.checks.counts.get("live")).toBeGreaterThan(0);
  // key-protocol 2: the block and 32 bytes.
  expect(outcome.world.padBytesPerHop).toBe(outcome.world.plan.blockBytes + 32);
});

test.each(Array.from({ length: 8 }, (_, index) => SEED + index))(
  "design 14: members of one KM hold every rule whatever happens to them and to etcd, with seed %i",
  async (seed) => {
    const { violation } = await runMembers({ seed, members: 2 + (seed % 2), hours: 0.2, faults: 1 });
    expect(violation?.message).toBeUndefined();
  },
);
