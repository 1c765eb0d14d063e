// Keys between two applications of one KM: made by the token, supplied and fetched at the same place (design 6).

import { expect, test } from "vitest";
import { ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";

/** One KM without a peer. */
async function alone(policy = {}): Promise<Network> {
  const network = new Network({ policy });
  await network.a.boot();
  await network.run(10);
  return network;
}

test("what one application is supplied the other fetches, over many KMA-keys", async () => {
  const network = await alone();
  const given: GivenKey[] = [];
  for (let round = 0; round < 30; round++) {
    const asked = ask(network.a.km, { app: "app-a1", to: "app-a2", bits: 4096, count: 3 });
    await network.run(10);
    expect(asked.keys).toHaveLength(3);
    given.push(...asked.keys);
    const back = fetchKeys(
      network.a.km,
      "app-a2",
      "app-a1",
      asked.keys.map(({ id }) => id),
    );
    await network.run(10);
    expect(back.keys).toEqual(asked.keys);
  }
  expectOneUse([network.a], given);
  expect(network.a.vault.leases.blocks).toBe(0);
});

test("both survive a restart: carving goes on, and what was supplied is fetched", async () => {
  const network = await alone();
  const before = ask(network.a.km, { app: "app-a1", to: "app-a2" });
  await network.run(10);
  network.a.crash();
  await network.a.boot();
  await network.run(10);
  const after = ask(network.a.km, { app: "app-a1", to: "app-a2" });
  await network.run(10);
  const keys = [...before.keys, ...after.keys];
  const back = fetchKeys(
    network.a.km,
    "app-a2",
    "app-a1",
    keys.map(({ id }) => id),
  );
  await network.run(10);
  expect(back.keys).toEqual(keys);
  expectOneUse([network.a], keys);
});

test("marks are noted for nobody: there is no other end to tell", async () => {
  const network = await alone();
  ask(network.a.km, { app: "app-a1", to: "app-a2" });
  await network.run(10);
  expect(network.a.parts.local.stock.takeMoved()).toEqual([]);
});

test.each(Array.from({ length: 24 }, (_, index) => index))(
  "leaves nothing behind when the token goes away %i turns after one is begun",
  async (turns) => {
    const network = new Network();
    await network.a.boot();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    network.a.vault.token("gone");
    await network.run(10);
    network.a.vault.token("ready");
    await network.run(10);
    const { stock, held } = network.a.parts.local;
    expect(network.a.vault.leases).toEqual({ blocks: 0, idKeys: stock.size + held.size });
    expect([...network.a.vault.blocks()].length).toBe(stock.size + held.size);
  },
);

test("an application cannot fetch what was made for another two", async () => {
  const network = await alone();
  const asked = ask(network.a.km, { app: "app-a1", to: "app-a2" });
  await network.run(10);
  const ids = asked.keys.map(({ id }) => id);
  expect(fetchKeys(network.a.km, "app-a3", "app-a1", ids).fault?.code).toBe("NOT_AUTHORIZED");
  expect(fetchKeys(network.a.km, "app-a1", "app-a2", ids).fault?.code).toBe("NOT_AUTHORIZED");
});

test.each([..."0123456789ABCDEF"].map((digit) => Number.parseInt(digit, 16)))(
  "leaves nothing behind when the store fails at commit %i of making one",
  async (nth) => {
    const network = await alone();
    const before = network.a.machine.commits;
    network.a.machine.fate = (n) => (n === before + 1 + nth ? "rejected, kept" : "durable");
    for (let round = 0; round < 4; round++) {
      ask(network.a.km, { app: "app-a1", to: "app-a2", bits: 32_000 });
      await network.run(10);
    }
    network.a.vault.store("ready");
    await network.run(3000);
    const { stock, held } = network.a.parts.local;
    expect(network.a.vault.leases).toEqual({ blocks: 0, idKeys: stock.size + held.size });
    const again = ask(network.a.km, { app: "app-a1", to: "app-a2", bits: 32_000 });
    await network.run(1000);
    expect(again.outcome).toBe("granted");
    network.a.crash();
    await network.a.boot();
    await network.run(10);
    const books = network.a.parts.local;
    expect([...network.a.vault.blocks()].length).toBe(books.stock.size + books.held.size);
  },
);

test("no more is kept than max_held allows", async () => {
  const network = await alone({ maxHeld: 5 });
  for (let round = 0; round < 20; round++) {
    ask(network.a.km, { app: "app-a1", to: "app-a2", bits: 32_000 });
    await network.run(100);
  }
  expect(network.a.parts.local.held.size).toBe(5);
  await network.run(10_000);
  expect(network.a.parts.admission.waiting).toBe(0);
});
