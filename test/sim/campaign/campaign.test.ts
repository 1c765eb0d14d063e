// Many seeds: in several processes, drawn faults, what was reached, and a finding made small.

import { expect, test } from "vitest";
import { simulate } from "../command.ts";
import { commandOf } from "./result.ts";

const SMALL = ["--nodes", "2", "--hours", "0.02", "--faults", "2"];

test("a campaign runs the seeds that follow in worker processes, and says what it made of them", async () => {
  const { text, code } = await simulate("--seed", "21", ...SMALL, "--swarm", "--runs", "4", "--jobs", "2");
  expect(text).toMatch(
    /^seeds 21 to 24 · 4 runs · \d+ h simulated · \d+ steps · \d+ steps per second .* · 0 findings$/m,
  );
  // Two KMs have nobody between them.
  expect(text).toMatch(/^never reached: .*\btransits\b/m);
  expect(code).toBe(0);
});

test("none begins after so many steps, and a swarm's run is the same again", async () => {
  const few = await simulate("--seed", "21", ...SMALL, "--swarm", "--runs", "50", "--steps", "1");
  expect(few.text).toContain("seeds 21 to 21 · 1 runs");
  const runs = [1, 2].map(() => simulate("--seed", "21", ...SMALL, "--swarm"));
  const digests = (await Promise.all(runs)).map(({ text }) => /digest (\w+)/.exec(text)?.[1]);
  expect(digests[0]).toBe(digests[1]);
});

test("the command that repeats a run has all that decides it", () => {
  const run = {
    seed: 7,
    nodes: 3,
    hours: 0.5,
    faults: 2,
    isSwarm: true,
    takeoversMs: 120_000,
    without: ["lie", "cut"],
  } as const;
  expect(commandOf(run)).toBe(
    "npm run simulate -- --seed 7 --nodes 3 --hours 0.5 --faults 2 --swarm --takeovers 2 --without lie,cut",
  );
});
