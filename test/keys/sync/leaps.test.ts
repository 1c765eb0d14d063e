// Numbers that a lying peer tells: refused beyond their bounds with nothing changed, and what is taken ends no pair (key-protocol 6).

import { describe, expect, test } from "vitest";
import { Fault } from "../../../src/core/fault.ts";
import { MAX_SERIAL } from "../../../src/keys/common/key-id.ts";
import { ask, fetchKeys } from "../support/apps.ts";
import { Liar } from "../support/liar.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

const AB = { link: "ab", share: "1:1", block_bytes: 4096 };
const HUGE = Number.MAX_SAFE_INTEGER;

function peerOf(node: TestNode, peer: TestNode) {
  const found = node.parts.peers.get(peer.id);
  if (found === undefined) throw new Error("no such peer");
  return found;
}

/** The network, with somebody in the place of km-b. */
async function lied(): Promise<{ network: Network; liar: Liar }> {
  const network = await Network.up({ blocks: 16 });
  network.wire.cut();
  return { network, liar: new Liar(network.a, network.b.id) };
}

/** Everything at km-a that a lie could move, as it is in the store too. */
const durable = ({ a }: Network): string => JSON.stringify([...a.machine.rows]);

/** The true km-b is back: keys are supplied, and fetched there. */
async function expectSupply(network: Network): Promise<void> {
  network.wire.connect();
  network.modules.make(16);
  await network.run(61_000);
  network.wire.connect();
  await network.run(500);
  const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
  await network.run(6_000);
  expect(asked.outcome).toBe("granted");
  const [key] = asked.keys;
  const fetched = fetchKeys(network.b.km, "app-b1", "app-a1", [key?.id ?? ""]);
  await network.run(100);
  expect(fetched.keys).toEqual(asked.keys);
}

describe("a state beyond the bounds is refused with an alarm, and changes nothing", () => {
  test.each([
    ["accepted", { accepted: MAX_SERIAL }],
    ["given", { given: { given: MAX_SERIAL } }],
    ["proved", { given: { proved: 2 ** 32 + 10 } }],
  ])("%s", async (_what, lie) => {
    const { network, liar } = await lied();
    const before = durable(network);
    expect(await liar.state({ links: [AB], ...lie })).toBe("OUT_OF_BOUNDS");
    expect([durable(network), peerOf(network.a, network.b).stock.size]).toEqual([before, 4]);
    expect(network.a.recorder.count("alarms", { alarm: "peer_leap" })).toBe(1);
    expect(liar.closedBecause).toBeDefined();
    await expectSupply(network);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(0);
  });

  test.each([
    ["pads", { pad_run: HUGE, pad_sequence: HUGE, pad_offset: 0 }],
    ["pads of a near run", { pad_run: 2, pad_sequence: 2 ** 21, pad_offset: 0 }],
    ["pads as it saw them", { seen_run: 1, seen_sequence: HUGE, seen_offset: 0 }],
    ["blocks", { run: HUGE, highest: 1 }],
  ])("%s of a link: the link stays unused, the rest goes on", async (_what, lie) => {
    const { network, liar } = await lied();
    const link = network.a.parts.links.get("ab");
    const before = link?.padRow();
    expect(await liar.state({ links: [{ ...AB, ...lie }] })).toBe("success");
    expect([link?.agreement, link?.padRow()]).toEqual(["refused", before]);
    expect(network.a.recorder.count("alarms", { alarm: "peer_leap" })).toBe(1);
    network.a.km.peerEvents.disconnected(liar);
    await expectSupply(network);
    expect(link?.agreement).toBe("agreed");
  });
});

test("a lie within the bounds costs what the two share, and never their future", async () => {
  const { network, liar } = await lied();
  const far = 2 ** 32 - 10;
  await liar.state({ links: [AB], accepted: far });
  expect(network.a.recorder.count("alarms", { alarm: "peer_leap" })).toBe(1);
  expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
  await expectSupply(network);
  expect(peerOf(network.a, network.b).stock.nextSerial).toBeGreaterThan(far);
  expect(peerOf(network.b, network.a).held.accepted).toBeGreaterThan(far);
});

test.each([
  [2 ** 20 + 10, 1],
  [2 ** 20 - 10, 0],
])("key-protocol 6: a serial %i above what is known is taken, with %i alarms", async (accepted, alarms) => {
  const { network, liar } = await lied();
  await liar.state({ links: [AB], accepted });
  expect(network.a.recorder.count("alarms", { alarm: "peer_leap" })).toBe(alarms);
  await expectSupply(network);
  expect(peerOf(network.a, network.b).stock.nextSerial).toBeGreaterThan(accepted);
});

test("a peer whose module is far ahead of ours is believed when ours has caught up", async () => {
  const { network, liar } = await lied();
  await liar.state({ links: [{ ...AB, run: 20, highest: 4 }] });
  expect(network.a.parts.links.get("ab")?.agreement).toBe("refused");
  network.modules.run = 19;
  network.modules.restart();
  network.modules.make(2);
  await network.run(200);
  expect(liar.closedBecause).toContain("caught up");
});

test("arrivals and marks of a connection have bounds, too", async () => {
  const { network, liar } = await lied();
  await liar.state({ links: [AB] });
  const arrived = { name: "qkm_arrived", link: "ab", from: 0, to: HUGE, blocks: "" };
  expect(await liar.tells([{ ...arrived, run: 1 }])).toBe("success");
  expect(await liar.tells([{ ...arrived, run: HUGE }])).toBe("OUT_OF_BOUNDS");
  expect(await liar.tells([{ name: "qkm_marks", marks: [], given: MAX_SERIAL }])).toBe("OUT_OF_BOUNDS");
  expect(peerOf(network.a, network.b).held.isCovered(MAX_SERIAL)).toBe(false);
});

test("a source announces its serials before they run far ahead, so that none is refused", async () => {
  const network = await Network.up({ blocks: 0, blockBytes: 512, policy: { maxAgeMs: 1_000 } });
  const { stock } = peerOf(network.a, network.b);
  stock.nextSerial += 1_010;
  for (let round = 0; round < 12; round++) {
    network.modules.make(16);
    await network.run(1_000);
  }
  expect(stock.nextSerial).toBeGreaterThan(1024);
  expect(network.a.recorder.count("relays_refused", { direction: "out" })).toBe(0);
  expect(stock.announced).toBeGreaterThan(stock.nextSerial - 300);
});

test("it announces them when there are no marks to tell, too: relays that no supply follows go on for ever", async () => {
  const policy = { maxAgeMs: 1_000, stockLow: 64, stockHigh: 64, maxHeld: 4_096 };
  const network = await Network.up({ blocks: 0, blockBytes: 512, keepBlocks: 512, policy });
  const { stock } = peerOf(network.a, network.b);
  for (let round = 0; round < 24; round++) {
    network.modules.make(160);
    await network.run(1_000);
  }
  expect(stock.nextSerial).toBeGreaterThan(1200);
  expect(network.b.recorder.count("relays_refused", { fault: "OUT_OF_BOUNDS" })).toBe(0);
});

test("issue 17, 3: after SERIAL_SEEN a source goes on above what was seen, and not at once", async () => {
  const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
  for (let serial = 1; serial <= 300; serial++) peerOf(network.b, network.a).held.accept(serial);
  network.modules.make(16);
  await network.run(50);
  const refused = (): number => network.a.recorder.count("relays_refused", { fault: "SERIAL_SEEN", direction: "out" });
  expect(refused()).toBe(1);
  await network.run(1_000);
  expect([refused(), peerOf(network.a, network.b).stock.size]).toEqual([1, 1]);
  expect(peerOf(network.a, network.b).stock.nextSerial).toBeGreaterThan(1024);
});

test.each(["SERIAL_SEEN", "BLOCK_NOT_HELD", "BLOCK_USED", "BAD_TAG", "STORE_FULL"] as const)(
  "design 5: a peer that answers every relay with %s costs a dozen blocks, not the link",
  async (code) => {
    const network = await Network.up({ blocks: 0, blockBytes: 512 });
    const { alter } = network.wire;
    network.wire.alter = () => {
      throw new Fault(code);
    };
    for (let second = 0; second < 20; second++) {
      network.modules.make(16);
      await network.run(1_000);
    }
    expect(network.a.recorder.count("relays_refused", { direction: "out" })).toBeLessThan(25);
    network.wire.alter = alter;
    await network.run(61_000);
    expect(peerOf(network.a, network.b).stock.size).toBeGreaterThan(0);
  },
);
