// Key relay over transit nodes, every KM a process: keys between KMs that share no link.

import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { padsOf, usedTwice } from "./support/pads.ts";
import { line, ring } from "./support/shapes.ts";
import { Traffic } from "./support/traffic.ts";

const BLOCK_BYTES = 4_096;

/** Keys both ways between the apps of two KMs, all fetched with the same bytes. */
async function exchange(network: Network, one: string, other: string): Promise<void> {
  const traffic = new Traffic(network, new Oracle());
  const { toOne, toOther } = await traffic.bothWays(one, other);
  await traffic.fetch([...toOne, ...toOther]);
  expect(traffic.oracle.violations).toEqual([]);
}

const sum = async (network: Network, km: string, name: string, labels = {}): Promise<number> =>
  (await network.km(km).metrics()).sum(name, labels);

test("design 5: keys between the ends of a line of 4 KMs are equal, and no pad is used twice", {
  timeout: 120_000,
}, async () => {
  await using network = await startNetwork(line(4));
  await network.stocked();
  await exchange(network, "app-a", "app-d");
  const pads = padsOf(network.kms);
  expect(pads.length).toBeGreaterThan(0);
  expect(usedTwice(pads)).toEqual([]);
});

test("key-protocol 2: a hop costs the block and 32 bytes of link key, no more", { timeout: 120_000 }, async () => {
  await using network = await startNetwork(line(3));
  await exchange(network, "app-a", "app-c");
  await eventually("no relay is under way", async () => {
    const relayed = await sum(network, "km-b", "qkm_kma_keys_relayed_total");
    const bytes = await sum(network, "km-b", "qkm_pad_bytes_total", { direction: "out" });
    return relayed > 0 && bytes === relayed * (BLOCK_BYTES + 32);
  });
});

test("design 5: when a transit KM is gone the keys go round the other way within seconds", {
  timeout: 120_000,
}, async () => {
  await using network = await startNetwork(ring(4));
  await network.stocked();
  await exchange(network, "app-a", "app-c");
  await network.km("km-b").kill();
  await exchange(network, "app-a", "app-c");
  await network.km("km-b").start();
  await network.stocked();
  await exchange(network, "app-a", "app-b");
  expect(usedTwice(padsOf(network.kms))).toEqual([]);
});
