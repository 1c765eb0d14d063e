// The stock under load: what is surely there without counting it out, and how few commits serve a crowd.

import fc from "fast-check";
import { expect, test } from "vitest";
import { kmId, linkId } from "../../src/core/ids.ts";
import { FIRST_OFFSET } from "../../src/keys/key-id.ts";
import { linkBlock } from "../../src/keys/rows.ts";
import { NO_DEMAND, plus, SourceKey } from "../../src/keys/source-key.ts";
import { SourceStock } from "../../src/keys/stock.ts";
import { ask } from "./support/apps.ts";
import { Network } from "./support/network.ts";

const BLOCK_BYTES = 4096;
const demand = fc.record({ count: fc.integer({ min: 1, max: 400 }), step: fc.constantFrom(8, 16, 32, 128, 1000) });

test("demands that the stock is said to cover can all be carved, in any order and from any rests", async () => {
  const { km } = (await Network.up({ blocks: 0 })).a;
  const idKey = { tag: () => {}, [Symbol.dispose]: () => {} };
  const property = fc.property(fc.array(fc.nat(500), { maxLength: 40 }), fc.array(demand), (rests, demands) => {
    const stock = new SourceStock(km.context, kmId("km-b"));
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
