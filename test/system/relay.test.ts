// Key relay between processes, with the real vault at every hop: a ring of four KMs, over one route and over two.
//
//     km-a ══ab══ km-b
//      ║           ║        km-a and km-c want two routes to each other,
//     ad          bc        km-b and km-d take one
//      ║           ║
//     km-d ══cd══ km-c

import { afterAll, beforeAll, expect, test } from "vitest";
import { Refused } from "./support/doors.ts";
import { eventually } from "./support/eventually.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { padsOf, usedTwice } from "./support/pads.ts";
import type { Overrides, Plan } from "./support/plan.ts";
import { BLOCK_BYTES, ring } from "./support/shapes.ts";
import { Traffic } from "./support/traffic.ts";

const RATE_BITS_PER_S = 500_000;
const WANTS: Readonly<Record<string, Overrides>> = {
  "km-a": { peers: { "km-c": { paths: 2 } } },
  "km-c": { peers: { "km-a": { paths: 2 } } },
};

function plan(): Plan {
  const shape = ring(4, RATE_BITS_PER_S);
  return { ...shape, kms: shape.kms.map((km) => ({ ...km, ...(WANTS[km.id] && { config: WANTS[km.id] }) })) };
}

let network: Network;
beforeAll(async () => {
  network = await startNetwork(plan());
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

/** Keys both ways between the apps of two KMs, all fetched with the same bytes. @throws Refused */
async function exchangeOnce(one: string, other: string): Promise<void> {
  const traffic = new Traffic(network, new Oracle(), 1);
  const { toOne, toOther } = await traffic.bothWays(one, other);
  await traffic.fetch([...toOne, ...toOther]);
  expect(traffic.oracle.violations).toEqual([]);
}

/** The same, asked for again when a request has waited for as long as a KM lets it: on a busy machine relays take longer. */
async function exchange(one: string, other: string): Promise<void> {
  let why: unknown;
  await eventually(`${one} and ${other} have exchanged keys`, async () => {
    why = await exchangeOnce(one, other).catch((thrown: unknown) => thrown);
    return !(why instanceof Refused && why.again);
  });
  if (why !== undefined) throw why;
}

const sum = async (km: string, name: string, labels = {}): Promise<number> =>
  (await network.km(km).metrics()).sum(name, labels);

test("key-protocol 2: keys in two parts over two KMs are equal at both ends, and both KMs carried each of them", async () => {
  await exchange("app-a", "app-c");
  const ready = await sum("km-a", "qkm_kma_keys_ready_total", { peer: "km-c" });
  expect(ready).toBeGreaterThan(0);
  for (const [km, link] of [
    ["km-b", "bc"],
    ["km-d", "cd"],
  ] as const) {
    expect(await sum(km, "qkm_kma_keys_relayed_total", { link })).toBeGreaterThanOrEqual(ready);
  }
});

test("key-protocol 2: a hop costs the block and 32 bytes of link key, no more", async () => {
  await exchange("app-b", "app-d");
  for (const { id } of network.kms) {
    await eventually(`no relay is under way at ${id}`, async () => {
      const relayed = await sum(id, "qkm_kma_keys_relayed_total");
      return (await sum(id, "qkm_pad_bytes_total", { direction: "out" })) === relayed * (BLOCK_BYTES + 32);
    });
  }
});

test("design 5: when a transit KM is gone the keys go round the other way", async () => {
  await network.km("km-c").kill();
  await exchange("app-b", "app-d");
  await network.km("km-c").start();
  await network.stocked();
  await exchange("app-b", "app-c");
});

test("design 3.1: no pad was used twice, in all of that", () => {
  const pads = padsOf(network.kms);
  expect(pads.length).toBeGreaterThan(0);
  expect(usedTwice(pads)).toEqual([]);
});
