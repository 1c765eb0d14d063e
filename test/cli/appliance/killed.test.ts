// Provisioning that is killed again and again comes to its end all the same.

import { expect, test } from "vitest";
import { expectWhole, makeWaiting, runKilledAt } from "./killed.ts";

const EACH = 40;
const MOST_RUNS = 20;

test("a node whose power goes at every start is provisioned at last, with the PINs that were shown", async () => {
  using appliance = await makeWaiting();
  let screens = "";
  let runs = 0;
  for (let ended = false; !ended && runs < MOST_RUNS; runs++) {
    const run = await runKilledAt(appliance, EACH);
    screens += run.screen;
    ended = run.ended;
  }
  expect(runs).toBeGreaterThan(3);
  expect(runs).toBeLessThan(MOST_RUNS);
  await expectWhole(appliance, screens);
  expect((await appliance.provision()).missing.map(({ kind }) => kind)).toEqual(["certificate", "certificate"]);
});
