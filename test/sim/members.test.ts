// The members of one KM on a simulated etcd: some seeds, the same run from the same seed, and the fence taken out.

import { expect, test } from "vitest";
import { expectFoundAmongMembers } from "./command.ts";
import { type MembersOutcome, runMembers } from "./members/world.ts";

/** Each simulates minutes: on a machine that much else keeps busy that takes its time. */
const TIMEOUT_MS = 120_000;

const run = (seed: number, members: number, hours = 0.05): Promise<MembersOutcome> =>
  runMembers({ seed, members, hours, faults: 1.5 });

test.each([
  [1, 3],
  [2, 2],
])(
  "design 14: holds every rule with seed %i and %i members, whatever happens to them and to etcd",
  async (seed, members) => {
    const outcome = await run(seed, members);
    expect(outcome.violation?.message).toBeUndefined();
    expect(outcome.takeovers).toBeGreaterThan(2);
    expect(outcome.carved).toBeGreaterThan(1_000);
    expect(outcome.checks.get("one_use")).toBe(outcome.carved);
  },
);

test("design 14: replays exactly from its seed", { timeout: TIMEOUT_MS }, async () => {
  const [one, again, other] = [await run(7, 2, 0.01), await run(7, 2, 0.01), await run(8, 2, 0.01)];
  expect(again).toEqual(one);
  expect(other.digest).not.toBe(one.digest);
});

test("design 14: a former owner that can write is found by a byte that is handed out twice", {
  timeout: TIMEOUT_MS,
}, async () => {
  await expectFoundAmongMembers("lets a former owner write", "one_use");
});
