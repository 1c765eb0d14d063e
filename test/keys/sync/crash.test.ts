// A process that ends at any commit: nothing is used twice, both ends agree again, what was supplied can be fetched (design 3, 6).

import { describe, expect, test } from "vitest";
import { CHUNK } from "../../../src/keys/supply/high-water-marks.ts";
import type { CommitFate } from "../../support/model-vault.ts";
import { type Asked, ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

const SIZES = [256, 4096, 64, 16_000, 24_000, 1000] as const;
const CRASHES = ["crash, lost", "crash, kept"] as const satisfies readonly CommitFate[];

/** Some supplies at km-a, with new blocks now and then; what was granted is collected. */
async function supplySome(network: Network, given: GivenKey[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds && !network.a.crashed; round++) {
    const asked = ask(network.a.km, {
      app: "app-a1",
      to: "app-b1",
      bits: SIZES[round % SIZES.length] ?? 256,
      count: 2,
    });
    network.modules.make(1);
    await network.run(60);
    given.push(...asked.keys);
  }
}

/** Fetches at km-b, one request each; gives what came. */
async function fetchAll(network: Network, given: readonly GivenKey[]): Promise<GivenKey[]> {
  const asks = given.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
  await network.run(100);
  return asks.flatMap(({ keys }) => keys);
}

/** How many commits `work` takes at `node` when nothing goes wrong. */
async function commitsOf(
  node: (network: Network) => TestNode,
  work: (network: Network) => Promise<void>,
): Promise<number> {
  const network = await Network.up();
  const before = node(network).machine.commits;
  await work(network);
  return node(network).machine.commits - before;
}

async function crashAt(node: TestNode, nth: number, fate: CommitFate): Promise<void> {
  const before = node.machine.commits;
  node.machine.fate = (n) => (n === before + nth ? fate : "durable");
}

describe("km-a ends during supply", () => {
  test.each(CRASHES)("design 3.1: at each commit, which is %s", async (fate) => {
    const commits = await commitsOf(
      ({ a }) => a,
      (network) => supplySome(network, [], 8),
    );
    expect(commits).toBeGreaterThan(15);
    for (let nth = 1; nth <= commits; nth++) {
      const network = await Network.up();
      const given: GivenKey[] = [];
      await crashAt(network.a, nth, fate);
      await supplySome(network, given, 8);
      expect(network.a.crashed).toBe(true);
      await network.reboot(network.a);
      expectAgreement(network.a, network.b);
      await supplySome(network, given, 8);
      expect(await fetchAll(network, given)).toEqual(given);
      expectOneUse([network.a, network.b], given);
      expect(network.a.vault.leases.blocks + network.b.vault.leases.blocks).toBe(0);
    }
  });

  test("design 6: at most two chunks of each open KMA-key are lost", async () => {
    const network = await Network.up({ blockBytes: 32_768 });
    const given: GivenKey[] = [];
    for (let round = 0; round < 100; round++) {
      const asked = ask(network.a.km, { app: "app-a1", to: "app-b1" });
      await network.run(5);
      given.push(...asked.keys);
    }
    const before = network.a.parts.peers.get(network.b.id)?.stock.bytes ?? 0;
    await network.reboot(network.a);
    const after = network.a.parts.peers.get(network.b.id)?.stock.bytes ?? 0;
    expect(before - after).toBeGreaterThan(0);
    expect(before - after).toBeLessThanOrEqual(2 * CHUNK);
    expect(network.a.recorder.count("kma_bytes_lost", { reason: "lost_at_restart" })).toBe(2 * CHUNK);
  });

  test("an orderly stop loses nothing, and carving goes on where it ended", async () => {
    const network = await Network.up({ blockBytes: 32_768 });
    const first = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 3 });
    await network.run(100);
    const before = network.a.parts.peers.get(network.b.id)?.stock.bytes ?? 0;
    await network.a.stop();
    network.wire.cut();
    await network.a.boot();
    network.wire.connect();
    await network.run(200);
    expect(network.a.parts.peers.get(network.b.id)?.stock.bytes).toBe(before);
    const second = ask(network.a.km, { app: "app-a1", to: "app-b1", count: 3 });
    await network.run(100);
    const given = [...first.keys, ...second.keys];
    expect(await fetchAll(network, given)).toEqual(given);
    expectOneUse([network.a, network.b], given);
    expect(network.a.recorder.count("kma_bytes_lost")).toBe(0);
  });

  test("an orderly stop in the middle of anything loses nothing either", async () => {
    for (let turns = 0; turns < 40; turns++) {
      const network = await Network.up();
      const given: GivenKey[] = [];
      const asks = [1, 2].map(() => ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 8000 }));
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await network.a.stop();
      network.wire.cut();
      for (const { keys } of asks) given.push(...keys);
      await network.a.boot();
      expect(network.a.recorder.count("kma_bytes_lost", { reason: "lost_at_restart" })).toBe(0);
      network.wire.connect();
      await network.run(200);
      await supplySome(network, given, 3);
      expect(await fetchAll(network, given)).toEqual(given);
      expectOneUse([network.a, network.b], given);
    }
  });
});

describe("km-b ends during fetching", () => {
  const work = async (network: Network, given: GivenKey[]): Promise<Asked[]> => {
    await supplySome(network, given, 4);
    if (network.b.crashed) return [];
    const asks = given.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
    await network.run(100);
    return asks;
  };

  test.each(CRASHES)("at each commit, which is %s: only what was being fetched then may be lost", async (fate) => {
    const commits = await commitsOf(
      ({ b }) => b,
      async (network) => void (await work(network, [])),
    );
    for (let nth = 1; nth <= commits; nth++) {
      const network = await Network.up();
      const given: GivenKey[] = [];
      await crashAt(network.b, nth, fate);
      const asks = await work(network, given);
      expect(network.b.crashed).toBe(true);
      await network.reboot(network.b);
      expectAgreement(network.a, network.b);
      const first = asks.flatMap(({ keys }) => keys);
      const underWay = given.filter((_key, index) => asks[index] !== undefined && asks[index].outcome === undefined);
      const then = await fetchAll(network, given);
      const missing = given.filter((key) => ![...first, ...then, ...underWay].some(({ id }) => id === key.id));
      expect([nth, missing]).toEqual([nth, []]);
      expect(then.filter(({ id }) => first.some((key) => key.id === id))).toEqual([]);
      await supplySome(network, given, 2);
      expectOneUse([network.a, network.b], given);
    }
  });
});

describe("the intake", () => {
  test.each(CRASHES)(
    "a process that ends at each of its commits (%s) takes no block twice and loses none",
    async (fate) => {
      for (let nth = 1; nth <= 8; nth++) {
        const network = await Network.up({ blocks: 0, policy: { stockLow: 0, stockHigh: 0 } });
        await crashAt(network.a, nth, fate);
        network.modules.make(6);
        await network.run(100);
        if (network.a.crashed) await network.reboot(network.a);
        await network.run(100);
        expect(network.a.parts.links.get("ab")?.stored).toBe(6);
        expect(network.modules.waiting(0)).toBe(0);
      }
    },
  );
});

test("design 7: what a rejected commit left in memory is told to no peer, so that a crash looks like no restored copy", async () => {
  const network = await Network.up();
  const { a, wire } = network;
  const told = (): number => wire.log.filter(({ from, kind }) => from === a.id && kind === "tell").length;
  a.machine.fate = () => "rejected, lost";
  network.modules.make(4);
  await network.run(200);
  wire.cut();
  const before = told();
  wire.connect();
  await network.run(200);
  expect(a.vault.health().store).toBe("failing");
  expect(told()).toBe(before);
  a.machine.fate = () => "durable";
  a.vault.store("ready");
  await network.reboot(a);
  expect(told()).toBeGreaterThan(before);
  expect(a.recorder.count("alarms")).toBe(0);
});
