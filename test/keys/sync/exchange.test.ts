// The state exchange: what only one end has is destroyed, restored copies are found out, nothing is carved before (key-protocol 5).

import { describe, expect, test } from "vitest";
import { type Asked, ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

const EMPTY = { rows: new Map(), records: new Map() };

async function supplied(network: Network, more: Partial<Parameters<typeof ask>[1]> = {}): Promise<Asked> {
  const asked = ask(network.a.km, { app: "app-a1", to: "app-b1", ...more });
  await network.run(100);
  return asked;
}

async function fetched(network: Network, keys: readonly GivenKey[]): Promise<readonly GivenKey[]> {
  const asks = keys.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
  await network.run(100);
  return asks.flatMap((asked) => asked.keys);
}

function pair(node: TestNode, peer: TestNode) {
  const found = node.parts.peers.get(peer.id);
  if (found === undefined) throw new Error("no such peer");
  return found;
}

/** The node's process ends, and another disk is put in. */
async function swapDisk(
  network: Network,
  node: TestNode,
  disk: Parameters<TestNode["machine"]["restore"]>[0],
): Promise<void> {
  node.crash();
  network.wire.cut();
  node.machine.restore(disk);
  await node.boot();
}

describe("km-b lost its store", () => {
  test("nothing is supplied that it cannot fetch, and supply goes on with numbers above the old ones", async () => {
    const network = await Network.up({ blocks: 16 });
    const before = await supplied(network);
    await swapDisk(network, network.b, EMPTY);
    network.wire.connect();
    await network.run(200);
    expect(pair(network.a, network.b).stock.size).toBe(0);
    expect(network.a.recorder.count("kma_keys_ended", { role: "source", reason: "gap" })).toBe(4);
    network.modules.make(8);
    await network.run(200);
    const after = await supplied(network);
    expect(await fetched(network, after.keys)).toEqual(after.keys);
    expect(await fetched(network, before.keys)).toEqual([]);
    expectOneUse([network.a, network.b], [...before.keys, ...after.keys]);
    expect(pair(network.b, network.a).held.serials()[0]).toBeGreaterThan(4);
    expect(network.b.recorder.count("alarms", { alarm: "restored" })).toBe(0);
  });

  test("own blocks that it told of before are not taken for confirmed any more", async () => {
    const network = await Network.up({ blocks: 8, policy: { stockLow: 0, stockHigh: 0 } });
    expect(network.a.parts.links.get("ab")?.usable).toBe(4);
    await swapDisk(network, network.b, EMPTY);
    network.wire.connect();
    await network.run(200);
    expect(network.a.parts.links.get("ab")?.usable).toBe(0);
    network.modules.make(2);
    await network.run(200);
    expect(network.a.recorder.count("blocks_ended", { reason: "gap" })).toBe(4);
    expect((await supplied(network)).outcome).toBe("granted");
    expect(network.a.recorder.count("relays_refused")).toBe(0);
  });

  test("what a grant holds while the exchange ends it is not carved any more", async () => {
    const network = await Network.up({ blocks: 8, policy: { stockLow: 1, stockHigh: 1 } });
    const held = await supplied(network, { manner: "hold" });
    await swapDisk(network, network.b, EMPTY);
    network.wire.connect();
    await network.run(200);
    network.modules.make(4);
    const after = await supplied(network);
    expect(await fetched(network, after.keys)).toEqual(after.keys);
    held.release();
    await network.run(100);
    expect(held.keys).toHaveLength(1);
    expect(network.a.recorder.count("kma_keys_ended", { role: "source", reason: "gap" })).toBe(1);
    expect(network.a.vault.leases.blocks).toBe(0);
    expect([...network.a.machine.rows.keys()].filter((key) => key.startsWith("source\nkm-b/"))).toHaveLength(1);
  });
});

describe("km-a runs on a restored copy of its store", () => {
  test("whose marks are behind what km-b has witnessed: all that they share is destroyed, with an alarm", async () => {
    const network = await Network.up({ blocks: 8, blockBytes: 32_768 });
    const first = await supplied(network);
    const copy = network.a.machine.copy();
    const second = await supplied(network, { bits: 32_000, count: 4 });
    const third = await supplied(network, { bits: 8000 });
    await network.run(200);
    await swapDisk(network, network.a, copy);
    network.wire.connect();
    await network.run(10);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    expect([pair(network.a, network.b).stock.size, network.a.parts.links.get("ab")?.stored]).toEqual([0, 0]);
    network.wire.connect();
    await network.run(200);
    network.modules.make(8);
    await network.run(200);
    const after = await supplied(network);
    const given = [...first.keys, ...second.keys, ...third.keys, ...after.keys];
    expectOneUse([network.a, network.b], given);
    expect(await fetched(network, given)).toEqual(given);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
  });

  test("whose serials are behind: nothing of it is used, and numbers go on above those that km-b has seen", async () => {
    const network = await Network.up({ blocks: 2, policy: { stockLow: 2, stockHigh: 2 } });
    const copy = network.a.machine.copy();
    network.modules.make(8);
    const given: GivenKey[] = [];
    for (let round = 0; round < 3; round++) given.push(...(await supplied(network, { bits: 32_000 })).keys);
    await network.run(200);
    const seen = pair(network.b, network.a).held.accepted;
    await swapDisk(network, network.a, copy);
    expect((await supplied(network)).outcome).toBeUndefined();
    network.wire.connect();
    await network.run(10);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    network.wire.connect();
    network.modules.make(8);
    await network.run(300);
    given.push(...(await supplied(network)).keys);
    expect(pair(network.a, network.b).stock.keys()[0]?.serial).toBeGreaterThan(seen);
    expectOneUse([network.a, network.b], given);
  });

  test("key-protocol 6: that supplied while km-b was away is found out by what km-b's applications have fetched", async () => {
    const network = await Network.up({ blocks: 8, policy: { stockLow: 1, stockHigh: 1 } });
    const copy = network.a.machine.copy();
    network.wire.cut();
    const first = await supplied(network, { count: 8 });
    expect(await fetched(network, first.keys.slice(2, 4))).toHaveLength(2);
    await swapDisk(network, network.a, copy);
    network.wire.connect();
    await network.run(10);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    network.wire.connect();
    network.modules.make(8);
    await network.run(300);
    const after = await supplied(network, { count: 8 });
    expectOneUse([network.a, network.b], [...first.keys, ...after.keys]);
    expect(await fetched(network, after.keys)).toEqual(after.keys);
  });

  test("in which a key was still being relayed that was supplied since: km-b keeps what its applications may fetch", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
    let copy: ReturnType<typeof network.a.machine.copy> | undefined;
    network.wire.lose = ({ kind }) => {
      if (kind === "relay") copy = network.a.machine.copy();
      return false;
    };
    network.modules.make(2);
    await network.run(200);
    network.wire.lose = () => false;
    const { keys } = await supplied(network, { count: 4 });
    await network.run(200);
    if (copy === undefined) throw new Error("nothing was relayed");
    await swapDisk(network, network.a, copy);
    network.wire.connect();
    await network.run(10);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    network.wire.connect();
    await network.run(200);
    expect(await fetched(network, keys)).toEqual(keys);
  });

  test("known from the token at the start: nothing at all is left of it", async () => {
    const network = await Network.up({ blocks: 8 });
    network.a.crash();
    network.wire.cut();
    await network.a.boot(true);
    expect(pair(network.a, network.b).stock.size + (network.a.parts.links.get("ab")?.stored ?? 0)).toBe(0);
    expect(network.a.parts.local.stock.size).toBe(0);
    expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    network.modules.make(4);
    network.wire.connect();
    await network.run(100);
    network.wire.connect();
    await network.run(300);
    const after = await supplied(network);
    expect(await fetched(network, after.keys)).toEqual(after.keys);
  });
});

describe("km-b runs on a restored copy of its store", () => {
  test("km-a supplies nothing of what km-b destroys for it, not even between two connections", async () => {
    const network = await Network.up({ blocks: 4, policy: { stockLow: 2, stockHigh: 2 } });
    const copy = network.b.machine.copy();
    network.modules.make(12);
    await supplied(network, { bits: 32_000 });
    await network.run(200);
    await swapDisk(network, network.b, copy);
    network.wire.connect();
    await network.run(10);
    expect(network.b.recorder.count("alarms", { alarm: "restored" })).toBe(1);
    expect(network.wire.isUp).toBe(false);
    const between = await supplied(network);
    expect(between.outcome).toBeUndefined();
    network.wire.connect();
    await network.run(10);
    network.modules.make(4);
    await network.run(300);
    expect(between.outcome).toBe("granted");
    expect(await fetched(network, between.keys)).toEqual(between.keys);
    expectAgreement(network.a, network.b);
  });

  test("what a fetch holds while it is destroyed is fetched no more", async () => {
    const network = await Network.up({ blocks: 4, policy: { stockLow: 2, stockHigh: 2 } });
    const keys = (await supplied(network, { count: 3 })).keys;
    const copy = network.b.machine.copy();
    network.modules.make(12);
    await supplied(network, { bits: 32_000 });
    await network.run(200);
    await swapDisk(network, network.b, copy);
    const [first, second] = keys;
    const held = fetchKeys(network.b.km, "app-b1", "app-a1", [first?.id ?? ""], "hold");
    await network.run(10);
    network.wire.connect();
    await network.run(10);
    const late = fetchKeys(network.b.km, "app-b1", "app-a1", [second?.id ?? ""]);
    await network.run(10);
    expect([held.outcome, late.fault?.code]).toEqual(["granted", "KEY_NOT_FOUND"]);
    held.release();
    await network.run(10);
    expect(network.b.vault.leases.blocks).toBe(0);
    expect([...network.b.machine.rows.keys()].filter((key) => key.startsWith("held\nkm-a/"))).toEqual([]);
  });
});

describe("before the exchange has ended", () => {
  test("fetching by ID serves at once, carving does not", async () => {
    const network = await Network.up();
    const keys = (await supplied(network, { count: 2 })).keys;
    network.a.crash();
    network.b.crash();
    network.wire.cut();
    await network.a.boot();
    await network.b.boot();
    expect(await fetched(network, keys)).toEqual(keys);
    const waits = await supplied(network);
    expect(waits.outcome).toBeUndefined();
    network.wire.connect();
    await network.run(100);
    expect(waits.outcome).toBe("granted");
  });

  test("a peer that is only unreachable does not stop supply from what is proved", async () => {
    const network = await Network.up();
    network.wire.cut();
    const asked = await supplied(network);
    expect(asked.outcome).toBe("granted");
    expect(await fetched(network, asked.keys)).toEqual(asked.keys);
  });

  test("relays are refused, and no relay is sent", async () => {
    const network = new Network();
    network.wire.lose = (crossing) => crossing.kind === "told" && crossing.from === "km-b";
    await network.a.boot();
    await network.b.boot();
    network.modules.make(8);
    network.wire.connect();
    await network.run(9000);
    expect(network.wire.log.filter(({ kind, from }) => kind === "relay" && from === "km-a")).toEqual([]);
    await network.run(2000);
    expect(network.wire.isUp).toBe(false);
  });

  test.each([
    ["a serial that no key ID can hold", { part: "accepted", accepted: 2 ** 40 }],
    ["a number that is none", { part: "accepted", accepted: -1 }],
    ["a part that is missing", { part: "other" }],
  ])("a state with %s is refused and changes nothing", async (_what, member) => {
    const network = await Network.up({ blocks: 4 });
    const { nextSerial } = pair(network.a, network.b).stock;
    const connection = pair(network.a, network.b).connection;
    if (connection === undefined) throw new Error("not connected");
    const entries = [{ part: "begin" }, { part: "given", given: 0, proved: 0, given_up: "" }, member, { part: "end" }];
    const told = network.a.km.peerEvents.told(
      connection,
      entries.map((entry) => ({ name: "qkm_state", ...entry })),
    );
    await expect(told).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
    expect(pair(network.a, network.b).stock.nextSerial).toBe(nextSerial);
  });
});

describe("connections that come and go", () => {
  test("a replaced connection fails softly: relays under way are given up, and the new one begins at once", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 2, stockHigh: 2 } });
    network.wire.delayMs = 20;
    network.modules.make(12);
    await network.run(90);
    network.wire.connect();
    await network.run(300);
    expect(pair(network.a, network.b).stock.size).toBe(2);
    expectAgreement(network.a, network.b);
  });

  test.each([3, 11, 27, 43])(
    "cut and joined again every %i ms under load, nothing is used twice or lost",
    async (everyMs) => {
      const network = await Network.up({ blocks: 4 });
      network.wire.delayMs = 2;
      const given: GivenKey[] = [];
      const asks: Asked[] = [];
      for (let round = 0; round < 40; round++) {
        asks.push(ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 4000 }));
        network.modules.make(1);
        await network.run(everyMs);
        network.wire.cut();
        await network.run(1);
        network.wire.connect();
      }
      network.modules.make(20);
      await network.run(1000);
      given.push(...asks.flatMap(({ keys }) => keys));
      expect(given.length).toBeGreaterThan(20);
      expectAgreement(network.a, network.b);
      expectOneUse([network.a, network.b], given);
      expect(await fetched(network, given)).toEqual(given);
      expect(
        [...network.a.recorder.lines, ...network.b.recorder.lines].filter(({ level }) => level === "error"),
      ).toEqual([]);
    },
  );

  test("a relay that is proved on a connection that was replaced meanwhile is not carved", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockLow: 1, stockHigh: 1 } });
    let gate = Promise.resolve();
    let release = (): void => {};
    network.wire.twist = (confirmation) => {
      gate = new Promise((resolve) => {
        release = resolve;
      });
      network.a.machine.pace = () => gate;
      return confirmation;
    };
    network.modules.make(2);
    await network.run(200);
    await swapDisk(network, network.b, EMPTY);
    network.wire.connect();
    await network.run(20);
    release();
    network.a.machine.pace = () => Promise.resolve();
    await network.run(200);
    expect(pair(network.a, network.b).stock.size).toBe(0);
    expect(pair(network.a, network.b).isSynchronised).toBe(true);
    expectAgreement(network.a, network.b);
  });

  test("events of a connection that was replaced change nothing", async () => {
    const network = await Network.up();
    const old = pair(network.a, network.b).connection;
    if (old === undefined) throw new Error("not connected");
    network.wire.connect();
    await network.run(100);
    network.a.km.peerEvents.disconnected(old);
    expect(pair(network.a, network.b).isSynchronised).toBe(true);
    await expect(network.a.km.peerEvents.told(old, [])).rejects.toMatchObject({ code: "PEER_UNAVAILABLE" });
  });
});

describe("marks", () => {
  test("are told at most 20 times a second, and witnessed durably", async () => {
    const network = await Network.up({ blockBytes: 32_768 });
    await network.run(1000);
    network.wire.log.length = 0;
    for (let round = 0; round < 100; round++) {
      ask(network.a.km, { app: "app-a1", to: "app-b1" });
      await network.run(10);
    }
    const marks = network.wire.log.filter(({ kind, from }) => kind === "tell" && from === "km-a");
    expect(marks.length).toBeGreaterThan(10);
    expect(marks.length).toBeLessThanOrEqual(20);
    await network.run(100);
    const [key] = pair(network.a, network.b).stock.keys();
    expect(pair(network.b, network.a).held.get(key?.serial ?? 0)?.witness).toBe(key?.carved);
  });

  test("wait for the peer: no more than one telling is under way", async () => {
    const network = await Network.up({ blockBytes: 32_768 });
    await network.run(1000);
    network.wire.log.length = 0;
    network.wire.lose = (crossing) => crossing.kind === "told";
    for (let round = 0; round < 50; round++) {
      ask(network.a.km, { app: "app-a1", to: "app-b1" });
      await network.run(100);
    }
    expect(network.wire.log.filter(({ kind, from }) => kind === "tell" && from === "km-a")).toHaveLength(1);
  });
});

describe("design 6: marks are told at most 20 times a second, and", () => {
  test("no timer runs for them while there is nothing to tell", async () => {
    const network = await Network.up({ blocks: 8 });
    const { clock } = network;
    const other = pair(network.a, network.b);
    const before = clock.waiting;
    other.kick();
    other.desk.pump();
    expect(clock.waiting).toBe(before);
    await supplied(network);
    ask(network.a.km, { app: "app-a1", to: "app-b1" });
    expect(clock.waiting).toBe(before + 1);
  });
});

describe("key-protocol 5: of two ends that keep different numbers of blocks", () => {
  test("the one that keeps more destroys its own first, so that both hold what it names", async () => {
    const network = await Network.up({
      blocks: 40,
      linkAtB: { keepBlocks: 4 },
      policy: { stockLow: 0, stockHigh: 0 },
    });
    const link = network.a.parts.links.get("ab");
    expect([...(link?.own() ?? [])].length).toBe(4);
    const oldest = link?.nextPad();
    expect(oldest && network.b.parts.links.get("ab")?.find(oldest)).toBeDefined();
  });
});
