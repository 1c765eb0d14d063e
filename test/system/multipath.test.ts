// Multipath between real processes: keys in two parts over two transit KMs, with the real vault at every hop.

import { expect, test } from "vitest";
import { startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { padsOf, usedTwice } from "./support/pads.ts";
import type { Overrides, Plan } from "./support/plan.ts";
import { diamond } from "./support/shapes.ts";
import { Traffic } from "./support/traffic.ts";

/** km-a and km-d want two routes to each other. */
function twoPaths(plan: Plan): Plan {
  const wants: Readonly<Record<string, Overrides>> = {
    "km-a": { peers: { "km-d": { paths: 2 } } },
    "km-d": { peers: { "km-a": { paths: 2 } } },
  };
  return {
    ...plan,
    kms: plan.kms.map((km) => ({ ...km, ...(wants[km.id] && { config: wants[km.id] }) })) as Plan["kms"],
  };
}

test("key-protocol 2: keys in two parts over two KMs are equal at both ends, and both KMs carried each of them", {
  timeout: 120_000,
}, async () => {
  await using network = await startNetwork(twoPaths(diamond()));
  await network.stocked();
  const traffic = new Traffic(network, new Oracle());
  const { toOne, toOther } = await traffic.bothWays("app-a", "app-d");
  await traffic.fetch([...toOne, ...toOther]);
  expect(traffic.oracle.violations).toEqual([]);
  const [a, b, c] = await Promise.all(["km-a", "km-b", "km-c"].map((id) => network.km(id).metrics()));
  const ready = a?.sum("qkm_kma_keys_ready_total", { peer: "km-d" }) ?? 0;
  expect(ready).toBeGreaterThan(0);
  for (const [metrics, link] of [
    [b, "bd"],
    [c, "cd"],
  ] as const) {
    expect(metrics?.sum("qkm_kma_keys_relayed_total", { link })).toBeGreaterThanOrEqual(ready);
  }
  expect(usedTwice(padsOf(network.kms))).toEqual([]);
});
