// The queue for a link's pads: whole blocks are set aside for those who wait, and for nobody else.

import { expect, test } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import { BlockScheduler } from "../../../src/keys/links/block-scheduler.ts";
import { LinkInventory } from "../../../src/keys/links/link-inventory.ts";
import { PadChain } from "../../../src/keys/links/pad-queue.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const BLOCK_BYTES = 4096;
const LINK = linkId("ab");

/** A link with so many own blocks that the other end has too. */
function agreedLink(blocks: number): LinkInventory {
  const settings = { id: LINK, peer: kmId("km-b"), blockBytes: BLOCK_BYTES, share: [1, 0] as const, keepBlocks: 16 };
  const link = new LinkInventory(kmId("km-a"), settings);
  link.agreement = "agreed";
  for (let sequence = 0; sequence < blocks; sequence++) {
    link.enter({ id: linkBlock(LINK, 1, sequence), link: LINK, run: 1, sequence, own: true });
  }
  link.hear({ upTo: { run: 1, sequence: blocks - 1 }, covers: () => true, holds: () => true, held: () => [] });
  return link;
}

test("blocks set aside for one who waits no more go back to the link, or they would be too old when they are used", async () => {
  const link = agreedLink(8);
  const turns = new BlockScheduler(link, () => true);
  const chain = new PadChain(new ManualClock(), link, turns);
  const first = Promise.withResolvers<void>();
  const used = chain.use(1000, 100, async (segments) => {
    await first.promise;
    link.pads.take(segments);
    return async () => {};
  });
  const waiting = chain.use(2 * BLOCK_BYTES, 100, async () => async () => {});
  expect(link.pads.bytes).toBe(3 * BLOCK_BYTES);
  chain.failAll(new Fault("PEER_UNAVAILABLE"));
  await expect(waiting).rejects.toThrow(Fault);
  first.resolve();
  await used;
  expect(link.pads.bytes).toBe(BLOCK_BYTES - 1000);
  expect(link.usable).toBe(7);
});

test("a job begins when the one before has taken its pads, and sends only after that, durable or not", async () => {
  const link = agreedLink(8);
  const chain = new PadChain(new ManualClock(), link, new BlockScheduler(link, () => true));
  const sent: string[] = [];
  const use = (name: string, durable: Promise<void>): Promise<void> =>
    chain.use(BLOCK_BYTES, 100, async (segments) => {
      link.pads.take(segments);
      return async () => {
        await durable;
        sent.push(name);
      };
    });
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const all = Promise.allSettled([use("first", first.promise), use("second", second.promise)]);
  const third = use("third", Promise.resolve());
  await new Promise((resolve) => setImmediate(resolve));
  expect([link.pads.mark?.sequence, sent]).toEqual([2, []]);
  second.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect(sent).toEqual([]);
  first.reject(new Fault("STORE_UNAVAILABLE"));
  await third;
  expect(sent).toEqual(["second", "third"]);
  expect((await all).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
});
