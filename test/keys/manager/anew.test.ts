// What an operator begins anew: a peer whose numbers no longer fit, and a link whose module pair is another one.

import { describe, expect, test, vi } from "vitest";
import { MAX_SERIAL } from "../../../src/keys/common/key-id.ts";
import { ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

function peerOf(node: TestNode, peer: TestNode) {
  const found = node.parts.peers.get(peer.id);
  if (found === undefined) throw new Error("no such peer");
  return found;
}

/** One key is supplied at km-a and fetched at km-b. */
async function exchanged(network: Network): Promise<readonly GivenKey[]> {
  const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
  await network.run(2_000);
  expect(asked.outcome).toBe("granted");
  const fetched = fetchKeys(network.b.km, "app-b1", "app-a1", [asked.keys[0]?.id ?? ""]);
  await network.run(100);
  expect(fetched.keys).toEqual(asked.keys);
  return asked.keys;
}

async function reconnected(network: Network): Promise<void> {
  network.wire.connect();
  await network.run(200);
  network.modules.make(16);
  await network.run(2_000);
}

describe("forget", () => {
  test("destroys all that is shared at this end, and no number is given twice", async () => {
    const network = await Network.up({ blocks: 16 });
    const before = await exchanged(network);
    const { nextSerial } = peerOf(network.a, network.b).stock;
    await network.a.km.forget("km-b");
    const { stock, held, links } = peerOf(network.a, network.b);
    expect([stock.size, held.size, links[0]?.stored, links[0]?.pads.mark]).toEqual([0, 0, 0, undefined]);
    const left = [...network.a.machine.rows.keys()].filter((key) => /^(block|source|held)\s/.test(key));
    expect(left.filter((key) => !key.includes("km-a/"))).toEqual([]);
    expect(network.a.audit.count("peer_forgotten")).toBe(1);
    await network.b.km.forget("km-a");
    await reconnected(network);
    const after = await exchanged(network);
    expectOneUse([network.a, network.b], [...before, ...after]);
    expect(stock.nextSerial).toBeGreaterThan(nextSerial);
    for (const node of [network.a, network.b]) expect(node.recorder.count("alarms")).toBe(0);
  });

  test("issue 17, 2: mends what a lie left in the store of one end, which neither end alone could", async () => {
    const network = await Network.up({ blocks: 16 });
    peerOf(network.b, network.a).held.raise(MAX_SERIAL);
    network.wire.connect();
    await network.run(300);
    expect(network.a.recorder.count("alarms", { alarm: "peer_leap" })).toBe(1);
    expect(peerOf(network.a, network.b).isSynchronised).toBe(false);
    await network.b.km.forget("km-a");
    await network.a.km.forget("km-b");
    await reconnected(network);
    await exchanged(network);
    await network.reboot(network.b);
    await exchanged(network);
    expect(peerOf(network.b, network.a).held.accepted).toBeLessThan(1_000);
  });

  test("frees a link of pads that a lie had moved out of reach", async () => {
    const network = await Network.up({ blocks: 16 });
    const [link] = peerOf(network.a, network.b).links;
    link?.pads.raise({ run: 16, sequence: 0, offset: 0 });
    expect(link?.nextPad()).toBeUndefined();
    await network.a.km.forget("km-b");
    await reconnected(network);
    expect(link?.nextPad()).toBeDefined();
  });

  test("a peer that is none is said", async () => {
    const network = await Network.up();
    await expect(network.a.km.forget("km-x")).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
  });
});

describe("issue 17, 10: a module pair that counts from an earlier run", () => {
  const went = (node: TestNode): number => node.recorder.count("blocks_run_went_back");

  test("is counted apart, with one alarm for each run", async () => {
    const network = await Network.up({ blocks: 4 });
    network.modules.run = 10 ** 12 - 1;
    network.modules.restart();
    network.modules.make(4);
    await network.run(200);
    network.modules.run = 1;
    network.modules.restart();
    network.modules.make(8);
    await network.run(200);
    for (const { recorder } of [network.a, network.b]) {
      expect(recorder.count("blocks_run_went_back")).toBe(8);
      expect(recorder.count("blocks_duplicate")).toBe(0);
      expect(recorder.count("alarms", { alarm: "run_went_back" })).toBe(1);
    }
  });

  test("is taken when an operator accepts it at both ends, under names that were given before", async () => {
    const network = await Network.up({ blocks: 16 });
    const before = await exchanged(network);
    network.modules.run = 6;
    network.modules.restart();
    network.modules.make(8);
    await network.run(200);
    network.modules.run = 0;
    network.modules.restart();
    network.modules.make(2);
    await network.run(200);
    expect(went(network.a)).toBe(2);
    for (const node of [network.a, network.b]) {
      await node.km.acceptModule("ab");
      expect(node.audit.count("module_accepted")).toBe(1);
    }
    network.modules.make(16);
    await network.run(200);
    await reconnected(network);
    const after = await exchanged(network);
    expectOneUse([network.a, network.b], [...before, ...after]);
    expect([went(network.a), network.a.parts.links.get("ab")?.highest?.run]).toEqual([2, 1]);
    await network.reboot(network.a);
    await exchanged(network);
  });

  test("accepted at one end alone leaves the link unused, until the other end accepts it too", async () => {
    const network = await Network.up({ blocks: 4 });
    network.modules.run = 99;
    network.modules.restart();
    network.modules.make(4);
    await network.run(200);
    await network.a.km.acceptModule("ab");
    network.wire.connect();
    await network.run(200);
    expect(network.a.parts.links.get("ab")?.agreement).toBe("refused");
    await network.b.km.acceptModule("ab");
    network.modules.run = 0;
    network.modules.restart();
    await reconnected(network);
    await exchanged(network);
  });

  test("is not accepted while a block of the link is out for a relay, whose name the new pair may give again", async () => {
    const network = await Network.up({ blocks: 0 });
    const link = network.a.parts.links.get("ab");
    if (link === undefined) throw new Error("no such link");
    const lent = vi.spyOn(link, "lend");
    network.modules.make(8);
    await network.run(500);
    expect([lent.mock.calls.length > 0, link.isLending]).toEqual([true, false]);
    network.modules.make(40);
    await network.run(500);
    const [block] = link.own();
    if (block === undefined) throw new Error("no own block is left");
    link.lend(block);
    const refused = expect(network.a.km.acceptModule("ab")).rejects.toMatchObject({ code: "BUSY" });
    await network.run(6_000);
    await refused;
    const accepted = network.a.km.acceptModule("ab");
    await network.run(300);
    link.settle(block.id);
    await network.run(300);
    await accepted;
    expect(network.a.audit.count("module_accepted")).toBe(1);
  });
});
