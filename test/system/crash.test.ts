// Crashes: KMs and modules killed under load, a few rounds.

import { expect, test } from "vitest";
import { crashRounds } from "./support/crashes.ts";

const ROUNDS = 5;

test("design 3.1, 6, 7: kill -9 under load uses no byte twice, loses no supplied key, and at most two chunks of each open KMA-key", {
  timeout: 180_000,
}, async () => {
  const { keys, kills } = await crashRounds(ROUNDS);
  expect(keys).toBeGreaterThan(100);
  expect(kills).toBeGreaterThanOrEqual(ROUNDS);
});
