// Age: expiry at source and destination, time switched off, wall clocks that go back, epochs that turn (design 6, 7).

import { describe, expect, test } from "vitest";
import { ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

const AGES = { maxAgeMs: 60_000, fetchWindowMs: 30_000 } as const;

const stockSize = (node: TestNode, peer: TestNode): number => node.parts.peers.get(peer.id)?.stock.size ?? 0;
const heldSize = (node: TestNode, peer: TestNode): number => node.parts.peers.get(peer.id)?.held.size ?? 0;

async function aged(): Promise<{ network: Network; keys: readonly GivenKey[] }> {
  const network = await Network.up({ blocks: 8, policy: AGES });
  const asked = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 2 });
  await network.run(800);
  return { network, keys: asked.keys };
}

async function fetched(network: Network, { id }: GivenKey): Promise<readonly GivenKey[]> {
  const asked = fetchKeys(network.b.km, "app-b1", "app-a1", [id]);
  await network.run(10);
  return asked.keys;
}

describe("a KMA-key", () => {
  test("is supplied from no more at max_age, and can be fetched from for a fetch_window longer", async () => {
    const { network, keys } = await aged();
    const [first, second] = keys;
    if (first === undefined || second === undefined) throw new Error("two keys are needed");
    await network.run(58_000);
    expect(stockSize(network.a, network.b)).toBe(4);
    await network.run(2000);
    expect(stockSize(network.a, network.b)).toBe(0);
    expect(network.a.recorder.count("kma_keys_ended", { peer: "km-b", role: "source", reason: "expired" })).toBe(4);
    await network.run(28_000);
    expect(await fetched(network, first)).toEqual([first]);
    await network.run(3000);
    expect(heldSize(network.b, network.a)).toBe(0);
    expect(await fetched(network, second)).toEqual([]);
    expect([...network.b.machine.rows.keys()].filter((key) => key.startsWith("held\nkm-a/"))).toEqual([]);
    expect([...network.b.vault.blocks()].filter((block) => block.startsWith("link:"))).toEqual([]);
  });

  test("is supplied from no more at max_age even when housekeeping stands still", async () => {
    const { network } = await aged();
    // Whatever waits for its turn waits for ever.
    network.a.parts.context.pace.take = () => new Promise(() => {});
    await network.run(60_000);
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(10);
    expect(asked.keys).toEqual([]);
    expect(network.a.recorder.count("kma_keys_ended", { role: "source", reason: "expired" })).toBeGreaterThan(0);
  });

  test("ages while its node is switched off", async () => {
    const { network } = await aged();
    await network.a.stop();
    network.wire.cut();
    await network.run(50_000);
    await network.a.boot();
    expect(stockSize(network.a, network.b)).toBe(4);
    await network.run(10_000);
    expect(stockSize(network.a, network.b)).toBe(0);
  });

  test("design 6: is no younger than its destination says, where the wall clock hid a part of the time switched off", async () => {
    const { network } = await aged();
    network.clock.jump(45_000);
    await network.a.stop();
    network.wire.cut();
    await network.run(50_000);
    network.clock.jump(-45_000);
    await network.a.boot();
    network.wire.connect();
    await network.run(500);
    expect(stockSize(network.a, network.b)).toBe(4);
    await network.run(10_000);
    expect(stockSize(network.a, network.b)).toBe(0);
    expect(heldSize(network.b, network.a)).toBe(4);
  });

  test("design 6: held here does not age while the node is off, whatever its wall clock says then", async () => {
    const { network } = await aged();
    await network.b.stop();
    network.wire.cut();
    network.clock.jump(85_000);
    await network.b.boot();
    network.wire.connect();
    await network.run(500);
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(15_000);
    const [given] = asked.keys;
    if (given === undefined) throw new Error("a key is needed");
    expect(await fetched(network, given)).toEqual([given]);
  });

  test("held at the end of its age goes after a restart too, by the time that its node was on", async () => {
    const { network } = await aged();
    await network.run(50_000);
    await network.b.stop();
    network.wire.cut();
    await network.run(300_000);
    await network.b.boot();
    expect(heldSize(network.b, network.a)).toBe(4);
    await network.run(41_000);
    expect(heldSize(network.b, network.a)).toBe(0);
  });

  test("ages even when its process was ended without a word", async () => {
    const { network } = await aged();
    await network.run(20_000);
    network.a.crash();
    network.wire.cut();
    await network.run(45_000);
    await network.a.boot();
    await network.run(1000);
    expect(stockSize(network.a, network.b)).toBe(0);
  });

  test("does not age faster when the wall clock jumps while the process runs", async () => {
    const { network } = await aged();
    network.clock.jump(86_400_000);
    await network.run(2000);
    expect(stockSize(network.a, network.b)).toBe(4);
  });

  test("owned here is retired when the wall clock is behind the last saved time at the start; held ones stay", async () => {
    const { network, keys } = await aged();
    const back = ask(network.b.km, { app: "app-b1", to: "app-a1" });
    await network.run(100);
    await network.a.stop();
    network.wire.cut();
    network.clock.jump(-3_600_000);
    await network.a.boot();
    expect(stockSize(network.a, network.b)).toBe(0);
    expect(network.a.recorder.count("kma_keys_ended", { role: "source", reason: "clock" })).toBeGreaterThanOrEqual(4);
    expect(network.a.recorder.count("alarms", { alarm: "clock" })).toBe(1);
    expect(heldSize(network.a, network.b)).toBe(4);
    const atA = fetchKeys(
      network.a.km,
      "app-a1",
      "app-b1",
      back.keys.map(({ id }) => id),
    );
    await network.run(10);
    expect(atA.keys).toEqual(back.keys);
    expect(await fetched(network, keys[0] ?? { id: "", key: "" })).toHaveLength(1);
  });

  test("that expires while its mark is being moved leaves no row behind", async () => {
    for (let turns = 0; turns < 12; turns++) {
      const { network } = await aged();
      const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
      if (stock === undefined) throw new Error("no stock");
      const moving = stock.prepare({ count: 500, step: 32 });
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      const change = network.a.vault.change();
      stock.end(stock.keys(), "expired", change);
      await Promise.allSettled([moving, change.commit()]);
      await network.run(10);
      expect([...network.a.machine.rows.keys()].filter((key) => key.startsWith("source\nkm-b/"))).toEqual([]);
      expect(network.a.vault.leases.blocks).toBe(0);
    }
  });

  test("that a slow client still reads expires when that has ended", async () => {
    const { network } = await aged();
    const held = ask(network.a.km, { app: "app-a1", to: "app-b1", manner: "hold" });
    await network.run(61_000);
    expect(stockSize(network.a, network.b)).toBe(0);
    held.release();
    await network.run(10);
    expect(held.keys).toHaveLength(1);
    expect([...network.a.machine.rows.keys()].filter((key) => key.startsWith("source\nkm-b/"))).toEqual([]);
  });
});

describe("link blocks", () => {
  test("beyond keep_blocks go, the oldest first, counted and destroyed", async () => {
    const network = await Network.up({ blocks: 20, keepBlocks: 4, policy: { stockLow: 0, stockHigh: 0 } });
    const kept = (node: typeof network.a) => {
      const blocks = [...node.vault.blocks()].map((block) => /^link:ab:1:(\d+)$/.exec(block)?.[1]);
      return blocks.flatMap((sequence) => (sequence === undefined ? [] : [Number(sequence)])).sort((a, b) => a - b);
    };
    for (const node of [network.a, network.b]) {
      expect(node.parts.links.get("ab")?.stored).toBe(9);
      expect(node.recorder.count("blocks_ended", { reason: "overflow" })).toBe(11);
    }
    expect(kept(network.a)).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(kept(network.b)).toEqual([10, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  test("of a wrong size are refused and acknowledged, those that come again are dropped", async () => {
    const network = await Network.up({ blocks: 4, linkAtB: { blockBytes: 8192 } });
    expect(network.b.recorder.count("blocks_refused")).toBe(4);
    expect(network.modules.waiting(1)).toBe(0);
  });
});

describe("the turn of an epoch", () => {
  test("zeroes what was carved at the source and fetched at the destination, and nothing else", async () => {
    const network = await Network.up({ blocks: 4, policy: { epochMs: 10_000, stockLow: 1, stockHigh: 1 } });
    const before = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 4 });
    await network.run(100);
    const [first, ...rest] = before.keys;
    await fetched(network, first ?? { id: "", key: "" });
    await network.run(12_000);
    const name = network.a.parts.peers.get(network.b.id)?.stock.keys()[0]?.block;
    const block = (node: TestNode) => node.machine.records.get(`block\n${name}`) ?? new Uint8Array(0);
    expect(
      block(network.a)
        .subarray(0, 96 + 4 * 32)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(
      block(network.a)
        .subarray(96 + 4 * 32)
        .every((byte) => byte !== 0),
    ).toBe(true);
    expect(
      block(network.b)
        .subarray(0, 96 + 32)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(
      block(network.b)
        .subarray(96 + 32)
        .every((byte) => byte !== 0),
    ).toBe(true);
    await network.reboot(network.a);
    await network.reboot(network.b);
    const after = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    for (const key of [...rest, ...after.keys]) expect(await fetched(network, key)).toEqual([key]);
    expectOneUse([network.a, network.b], [...before.keys, ...after.keys]);
  });

  test("leaves alone what a fetch has marked and not yet opened", async () => {
    const network = await Network.up({ blocks: 2, policy: { stockLow: 1, stockHigh: 1 }, slots: 8 });
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    await network.run(100);
    await network.reboot(network.b);
    const under = fetchKeys(
      network.b.km,
      "app-b1",
      "app-a1",
      asked.keys.map(({ id }) => id),
    );
    const key = network.b.parts.peers.get(network.a.id)?.held.get(1);
    expect(key?.used()).toEqual([{ offset: 0, length: 96 }]);
    await network.run(10);
    expect(under.keys).toEqual(asked.keys);
    expect(key?.used()).toEqual([{ offset: 0, length: 128 }]);
  });
});

describe("what is shared with a peer and a link that a start does not find in the configuration", () => {
  const rowsOf = (node: TestNode, table: string): number =>
    // Its own keys are left out.
    [...node.machine.rows.keys()].filter((key) => key.startsWith(`${table}\n`) && !key.includes(`\n${node.id}/`))
      .length;

  /** km-b starts without its peer and its link. */
  async function without(restored = false): Promise<Network> {
    const { network } = await aged();
    network.b.crash();
    network.wire.cut();
    network.b.settings = { ...network.b.settings, links: [], peers: [] };
    await network.b.boot(restored);
    return network;
  }

  test("ages and ends", async () => {
    const network = await without();
    expect(rowsOf(network.b, "held")).toBeGreaterThan(0);
    await network.run(100_000);
    expect([rowsOf(network.b, "held"), rowsOf(network.b, "source")]).toEqual([0, 0]);
    expect(network.b.recorder.count("kma_keys_ended", { peer: "km-a", reason: "expired" })).toBeGreaterThan(0);
  });

  test("is destroyed with the rest of a restored copy", async () => {
    const network = await without(true);
    await network.run(10);
    expect(["held", "source", "block"].map((table) => rowsOf(network.b, table))).toEqual([0, 0, 0]);
    expect([...network.b.vault.blocks()].filter((block) => !block.startsWith("local"))).toEqual([]);
  });

  test("serves again when both come back while it runs", async () => {
    const network = await without();
    const { settings } = network.a;
    const [link] = settings.links;
    if (link === undefined) throw new Error("a link is needed");
    const back = { ...settings, links: [{ ...link, peer: network.a.id }], peers: [network.a.id] };
    network.b.km.reconfigure(await network.b.km.prepareReconfigure(back));
    const book = network.b.parts.links.get("ab");
    expect(book?.highest?.sequence).toBe(7);
    network.wire.connect();
    await network.run(500);
    const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
    const other = ask(network.b.km, { app: "app-b1", to: "app-a1" });
    await network.run(500);
    expect([asked.outcome, other.outcome]).toEqual(["granted", "granted"]);
    const got = fetchKeys(network.b.km, "app-b1", "app-a1", [asked.keys[0]?.id ?? ""]);
    await network.run(10);
    expect(got.keys).toEqual(asked.keys);
    expectOneUse([network.a, network.b], [...asked.keys, ...other.keys]);
  });
});
