// The stock under load: what is surely there without counting it out, and how few commits serve a crowd.

import fc from "fast-check";
import { expect, test } from "vitest";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { FIRST_OFFSET } from "../../../src/keys/common/key-id.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import type { Peer } from "../../../src/keys/peers/peer.ts";
import { NO_DEMAND, plus, SourceKey } from "../../../src/keys/supply/source-key.ts";
import { SourceStock } from "../../../src/keys/supply/stock.ts";
import { type Asked, ask } from "../support/apps.ts";
import { Network } from "../support/network.ts";

const BLOCK_BYTES = 4096;

function remoteOf({ a }: Network): Peer {
  const peer = a.parts.peers.get(kmId("km-b"));
  if (peer === undefined) throw new Error("km-a knows no km-b");
  return peer;
}

const demand = fc.record({ count: fc.integer({ min: 1, max: 400 }), step: fc.constantFrom(8, 16, 32, 128, 1000) });

test("demands that the stock is said to cover can all be carved, in any order and from any rests", async () => {
  const { parts } = (await Network.up({ blocks: 0 })).a;
  const idKey = { tag: () => {}, [Symbol.dispose]: () => {} };
  const property = fc.property(fc.array(fc.nat(500), { maxLength: 40 }), fc.array(demand), (rests, demands) => {
    const stock = new SourceStock(parts.context, kmId("km-b"), { acceptance: () => ({ accepted: 0, window: "" }) });
    for (const [serial, steps] of rests.entries()) {
      const block = linkBlock(linkId("ab"), 1, serial);
      const key = new SourceKey({ serial, block, length: BLOCK_BYTES, bornAt: 0 }, idKey);
      key.carved = BLOCK_BYTES - Math.min(8 * steps, BLOCK_BYTES - FIRST_OFFSET);
      stock.add(key);
    }
    const covers = stock.covers(demands.reduce(plus, NO_DEMAND));
    if (covers) expect(stock.lacking(demands)).toBe(0);
  });
  fc.assert(property, { numRuns: 500 });
});

test("a crowd that waits for marks is served with few commits", async () => {
  const network = await Network.up({ blocks: 16, blockBytes: 32_768, policy: { stockLow: 8, stockHigh: 8 } });
  const before = network.a.machine.commits;
  const crowd = Array.from({ length: 40 }, () => ask(network.a.km, { app: "app-a1", to: "app-b1", count: 128 }));
  await network.run(50);
  expect(crowd.every(({ outcome }) => outcome === "granted")).toBe(true);
  expect(network.a.machine.commits - before).toBeLessThan(15);
});

test("the bytes that can be carved are counted right through supply, waiting, grants held, age and restarts", async () => {
  const network = await Network.up({ blocks: 24, policy: { stockLow: 6, stockHigh: 8, maxAgeMs: 5_000 } });
  const held: Asked[] = [];
  const seen = new Set<number>();
  const look = (): void => {
    const { stock } = remoteOf(network);
    expect(stock.bytes).toBe(stock.keys().reduce((sum, key) => sum + key.left, 0));
    seen.add(stock.bytes);
  };
  for (let round = 0; round < 60; round++) {
    const manner = round % 5 === 0 ? "hold" : "read";
    held.push(
      ask(network.a.km, { app: "app-a1", to: "app-b1", count: 1 + (round % 37), bits: 8 * (8 + round), manner }),
    );
    look();
    await network.run(round % 7 === 0 ? 3000 : 20);
    look();
    if (round % 9 === 0) network.modules.make(4);
    if (round % 20 === 19) await network.reboot(network.a);
  }
  expect(held.filter(({ outcome }) => outcome === "granted").length).toBeGreaterThan(30);
  expect(seen.size).toBeGreaterThan(20);
});

test("relays go on when a KMA-key's worth was carved, though nobody waits", async () => {
  const network = await Network.up({ blocks: 40, policy: { stockLow: 2, stockHigh: 4 } });
  const { stock } = remoteOf(network);
  const before = stock.nextSerial;
  // Faster than anything that looks now and then whether there is enough.
  for (let round = 0; round < 900; round++) {
    const one = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(5);
    expect([one.outcome, stock.bytes > 0]).toEqual(["granted", true]);
  }
  // 900 keys of 32 bytes out of KMA-keys of 4,000, and one or two are left at least.
  expect(stock.nextSerial - before).toBeGreaterThanOrEqual(5);
});
