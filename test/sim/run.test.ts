// The simulator itself: some seeds, the same run from the same seed, and rules broken on purpose found.

import { describe, expect, test } from "vitest";
import { expectFound } from "./command.ts";
import { run } from "./run.ts";
import { summary } from "./summary.ts";

/** Small ones: many more seeds are run by the long tests and by campaigns. */
const SEEDS = [
  { seed: 5, nodes: 4, hours: 0.04 },
  { seed: 8, nodes: 3, hours: 0.05 },
  { seed: 6, nodes: 4, hours: 0.03 },
  { seed: 902_150, nodes: 2, hours: 0.1 },
];

/** What takes simulated hours after the faults: one test has it. */
const SHORT = { without: ["lasting_fault", "silence", "strict_peers"] } as const;

describe("a simulated network in which everything goes wrong", () => {
  test.each(SEEDS)("design 3: holds every rule with seed $seed, $nodes nodes and $hours hours", async (options) => {
    const outcome = await run({ ...options, ...SHORT, faults: 2 });
    expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
    // At the end every pair is served, whatever happened before.
    expect(outcome.world.oracle.keys.fetched).toBeGreaterThanOrEqual(outcome.world.sharedPeers.length);
    expect([...outcome.world.struck.values()].length).toBeGreaterThan(5);
  });

  test("design 14: holds every rule while other members take over, and former ones go on as long as they can", async () => {
    const outcome = await run({ seed: 4, nodes: 4, hours: 0.06, faults: 1, takeoversMs: 60_000, ...SHORT });
    expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
    expect(outcome.world.takeovers).toBeGreaterThan(3);
    expect(outcome.world.oracle.keys.fetched).toBeGreaterThanOrEqual(outcome.world.sharedPeers.length);
  });

  test("design 5, 6: goes on around a KM that stays sick, and nothing is left of what has come of age", async () => {
    const outcome = await run({ seed: 3, nodes: 3, hours: 0.01, faults: 1, without: ["strict_peers"] });
    expect(outcome.violation?.message, summary(outcome)).toBeUndefined();
    expect(outcome.world.ingredients).toContain("silence");
    expect(outcome.simulatedMs).toBeGreaterThan(600_000);
  });

  test("design 9: replays exactly from its seed", async () => {
    const digests = [7, 7, 8].map(async (seed) => {
      const { world } = await run({ seed, nodes: 3, hours: 0.05, faults: 4, ...SHORT });
      return `${world.trace.digest} ${world.trace.steps}`;
    });
    const [one, again, other] = await Promise.all(digests);
    expect(again).toBe(one);
    expect(other).not.toBe(one);
  });
});

describe("a rule broken on purpose", () => {
  test.each([
    ["lets a key be fetched again", "one_use"],
    ["hands out what was fetched before that is durable", "durable_first"],
    ["gives keys to whoever knows their IDs", "identity"],
    ["destroys blocks without a word", "accounted"],
    ["supplies without a word to the audit log", "audited"],
  ])("is found when the code %s", async (name, rule) => {
    await expectFound(name, rule, { first: 1 });
  });
});
