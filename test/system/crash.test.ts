// Crashes: KMs and modules killed under load, two rounds.

import { expect, test } from "vitest";
import { crashRounds } from "./support/crashes.ts";

/** Both KMs, then the modules: each KM alone has its turn in the long tests. */
const ROUNDS = 2;

test("design 3.1, 6, 7: kill -9 under load uses no byte twice, loses no supplied key, and at most two chunks of each open KMA-key", {
  timeout: 900_000,
}, async () => {
  const { keys, kills } = await crashRounds(ROUNDS);
  expect(keys).toBeGreaterThan(20);
  expect(kills).toBeGreaterThanOrEqual(ROUNDS);
});
