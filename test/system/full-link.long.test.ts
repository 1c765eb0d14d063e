// A KM comes back to a link whose stores are full at both ends, where each new block destroys the oldest.

import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { PAIR, type Plan } from "./support/plan.ts";
import { Traffic } from "./support/traffic.ts";

const KEPT = 256;
const PLAN: Plan = {
  ...PAIR,
  links: [{ id: "ab", kms: ["km-a", "km-b"], module: { rateBitsPerS: 12_000_000 } }],
  config: {
    supply: { stock_low: 2, stock_high: 3 },
    links: { "*": { block_bytes: 16_384, keep_blocks: KEPT } },
  },
};

test("design 4: after a restart beside full link stores supply goes on at once, and hardly a relay names a block that is gone", async () => {
  await using network = await startNetwork(PLAN);
  const traffic = new Traffic(network, new Oracle());
  for (const victim of ["km-a", "km-b"]) {
    await eventually("the link's stores are full", async () => {
      const reports = await Promise.all(network.kms.map((km) => km.status()));
      return reports.every(({ links: [link] }) => link !== undefined && link.stored >= KEPT);
    });
    expect(await network.km(victim).kill("SIGTERM")).toBe(0);
    await network.km(victim).start();
    await network.stocked();
    const { toOne, toOther } = await traffic.bothWays("app-a1", "app-b1");
    await traffic.fetch([...toOne, ...toOther].filter(({ pair }) => pair.destination === "km-a"));
    await traffic.fetch([...toOne, ...toOther].filter(({ pair }) => pair.destination === "km-b"));
  }
  expect(traffic.oracle.violations).toEqual([]);
  for (const km of network.kms) {
    expect((await km.metrics()).sum("qkm_relays_refused_total", { direction: "out" })).toBeLessThan(10);
  }
});
