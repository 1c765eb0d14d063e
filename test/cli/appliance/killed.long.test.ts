// Provisioning that is killed at each of its changes to the file system is completed by the next run.

import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { expectWhole, makeWaiting, runKilledAt } from "./killed.ts";

test("killed at any change to the file system, the next run completes it", async () => {
  let ended = false;
  let change = 0;
  while (!ended) {
    change += 1;
    using appliance = await makeWaiting();
    const first = await runKilledAt(appliance, change);
    const second = await appliance.provision();
    expect(second.refused, `killed at change ${change}: ${second.screen}`).toBe(0);
    await expectWhole(appliance, first.screen + second.screen);
    await appliance.sign();
    expect((await appliance.provision()).missing).toEqual([]);
    expect(existsSync(appliance.places.provisioned)).toBe(true);
    ({ ended } = first);
  }
  expect(change).toBeGreaterThan(50);
});
