// Two rounds of test/cluster/rounds.cluster.test.ts: a member killed, and one that hands over.

import { expect, test } from "vitest";
import { mostLost, Rounds } from "./support/rounds.ts";

test("design 14: a takeover and a hand-over use no byte twice, and every supplied key can be fetched", {
  timeout: 120_000,
}, async () => {
  await using run = await Rounds.start();
  const killed = await run.round("active member killed");
  expect(killed.keysLost).toBeLessThanOrEqual(mostLost(killed));
  const handed = await run.round("handed over");
  expect(handed.keysLost).toBeLessThanOrEqual(handed.keysUnanswered);
  await run.finish();
});
