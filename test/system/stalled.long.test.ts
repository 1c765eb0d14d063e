// Clients of both doors that ask for much and read nothing, beside others that go on.

import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { akSupply } from "./support/keys.ts";
import { startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { stallAk, stallEtsi } from "./support/stalled.ts";

test("design 8: the clients that read nothing are closed in time, and cost nobody else anything", async () => {
  await using network = await startNetwork(PAIR);
  await network.stocked();
  const stalled = [stallAk, stallEtsi].map((stall) => stall(network.app("app-a2"), "app-a1"));
  try {
    await using ak = await network.app("app-a1").connectAk();
    await eventually(
      "both are closed",
      async () => {
        expect(await akSupply(ak, "app-b1", 5, 256)).toHaveLength(5);
        expect(await network.app("app-a1").encKeys("app-b1", { number: 5, size: 256 })).toHaveLength(5);
        return stalled.every(({ isClosed }) => isClosed);
      },
      60_000,
      250,
    );
  } finally {
    for (const client of stalled) client[Symbol.dispose]();
  }
  const closed = network
    .km("km-a")
    .logLines()
    .filter(({ app }) => app === "app-a2");
  expect(closed.map(({ reason }) => reason)).toContain("the peer did not take what was written within 10000 ms");
});
