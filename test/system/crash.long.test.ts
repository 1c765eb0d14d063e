// Crashes: KMs and modules killed under load, many rounds.

import { expect, test } from "vitest";
import { crashRounds } from "./support/crashes.ts";

/** Ten of each victim. */
const ROUNDS = 40;

test("design 3.1, 6, 7: kill -9 under load, again and again, uses no byte twice and loses no supplied key", {
  timeout: 1_800_000,
}, async () => {
  const { keys, kills } = await crashRounds(ROUNDS);
  expect(keys).toBeGreaterThan(1_000);
  expect(kills).toBeGreaterThanOrEqual(ROUNDS);
});
