// Two key managers on the real vault: seals, slots, epochs, a token that vanishes, processes that end anywhere.

import { deserialize, serialize } from "node:v8";
import { afterEach, describe, expect, test } from "vitest";
import type { VaultOptions } from "../../../src/vault/open.ts";
import { type Asked, ask, fetchKeys, type GivenKey } from "../support/apps.ts";
import { Network, type Wanted } from "../support/network.ts";
import { RealNode } from "../support/real-node.ts";
import { seeded } from "../support/seeded.ts";
import { Wire } from "../support/wire.ts";

class RealNetwork {
  readonly #model: Network;
  readonly a: RealNode;
  readonly b: RealNode;
  readonly wire: Wire;

  constructor(wanted: Wanted = {}, options: Partial<VaultOptions> = {}) {
    this.#model = new Network(wanted);
    this.a = new RealNode(this.#model.clock, this.#model.a, options);
    this.b = new RealNode(this.#model.clock, this.#model.b, options);
    this.wire = new Wire(this.#model.clock, [this.a, this.b]);
  }

  get modules() {
    return this.#model.modules;
  }

  async up(blocks: number): Promise<void> {
    await this.a.boot();
    await this.b.boot();
    this.wire.connect();
    this.modules.make(blocks);
    await this.run(1000);
  }

  /** In small steps: the store answers a turn of the event loop later. */
  async run(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 25) await this.#model.run(Math.min(25, left));
  }

  async supplied(count: number, bits = 256): Promise<Asked> {
    const asked = ask(this.a.km, { app: "app-a1", to: "app-b1", count, bits });
    await this.run(100);
    return asked;
  }

  async fetched(keys: readonly GivenKey[]): Promise<readonly GivenKey[]> {
    const asks = keys.map(({ id }) => fetchKeys(this.b.km, "app-b1", "app-a1", [id]));
    await this.run(200);
    return asks.flatMap((asked) => asked.keys);
  }

  async down(): Promise<void> {
    this.wire.cut();
    for (const node of [this.a, this.b]) if (node.events !== undefined) await node.stop();
  }
}

let network = new RealNetwork();
afterEach(() => network.down());

function expectUnique(given: readonly GivenKey[]): void {
  expect(new Set(given.map(({ key }) => key)).size).toBe(given.length);
  expect(new Set(given.map(({ id }) => id)).size).toBe(given.length);
}

describe.each(["direct", "envelope"] as const)("sealed in mode %s", (mode) => {
  test("what is supplied is fetched, across restarts of both, and local keys too", async () => {
    network = new RealNetwork({}, { mode });
    await network.up(12);
    const given = [...(await network.supplied(3)).keys];
    for (const node of [network.a, network.b]) {
      await node.stop();
      network.wire.cut();
      await node.boot();
      network.wire.connect();
      await network.run(300);
    }
    given.push(...(await network.supplied(3)).keys);
    expect(given).toHaveLength(6);
    expect(await network.fetched(given)).toEqual(given);
    const local = ask(network.a.km, { app: "app-a1", to: "app-a2", count: 3 });
    await network.run(200);
    const back = fetchKeys(
      network.a.km,
      "app-a2",
      "app-a1",
      local.keys.map(({ id }) => id),
    );
    await network.run(200);
    expect([local.keys.length, back.keys]).toEqual([3, local.keys]);
    expect([network.a.vault.health().slots.pinned, network.b.vault.health().slots.pinned]).toEqual([0, 0]);
    expect(network.a.recorder.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("epochs turn under load, and every key is what it was", async () => {
    network = new RealNetwork({ blockBytes: 4096, policy: { epochMs: 2000, stockLow: 4, stockHigh: 6 } }, { mode });
    await network.up(20);
    const given: GivenKey[] = [];
    const got: GivenKey[] = [];
    for (let round = 0; round < 30; round++) {
      given.push(...(await network.supplied(2, 2000)).keys);
      got.push(...(await network.fetched(given.slice(got.length, got.length + 1))));
      network.modules.make(2);
    }
    got.push(...(await network.fetched(given.slice(got.length))));
    expect(got).toEqual(given);
    expectUnique(given);
    expect(network.a.vault.health().epoch).toBeGreaterThan(3);
    expect(network.b.vault.health().epoch).toBeGreaterThan(3);
  });
});

test("few slots: many requests over many KMA-keys wait for one another and never for ever", async () => {
  network = new RealNetwork({ policy: { stockLow: 12, stockHigh: 12 } }, { slabBytes: 8 * (4096 + 64) });
  await network.up(40);
  const asks = Array.from({ length: 12 }, () => ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 24_000 }));
  await network.run(2000);
  expect(asks.map(({ outcome }) => outcome)).toEqual(asks.map(() => "granted"));
  const given = asks.flatMap(({ keys }) => keys);
  expect(await network.fetched(given)).toEqual(given);
});

test("too few places for key-ID keys hold the stock down, and cost nothing else", async () => {
  network = new RealNetwork({ policy: { stockLow: 12, stockHigh: 12 } }, { keyIdKeys: 10 });
  await network.up(40);
  const asks = Array.from({ length: 6 }, () => ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 24_000 }));
  const back = Array.from({ length: 6 }, () => ask(network.b.km, { app: "app-b1", to: "app-a1", bits: 24_000 }));
  await network.run(3000);
  const given = asks.flatMap(({ keys }) => keys);
  // Whichever end comes first has the places.
  expect(given.length + back.flatMap(({ keys }) => keys).length).toBeGreaterThan(2);
  expect(await network.fetched(given)).toEqual(given);
  expect([network.a.vault.health().slots.pinned, network.b.vault.health().slots.pinned]).toEqual([0, 0]);
});

test("keys of one KMA-key that are fetched at once all fail when the token goes meanwhile, and all can be had later", async () => {
  await network.up(12);
  const { keys } = await network.supplied(6);
  await network.b.stop();
  network.wire.cut();
  await network.b.boot();
  network.wire.connect();
  await network.run(1000);
  const { token } = network.b;
  const fetchAll = () => keys.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
  const goes = Promise.withResolvers<void>();
  token.slow(() => goes.promise);
  const failed = fetchAll();
  token.vanish();
  goes.resolve();
  await network.run(200);
  expect(failed.map(({ fault }) => fault?.code)).toEqual(keys.map(() => "HSM_UNAVAILABLE"));
  token.slow(undefined);
  token.restore();
  await network.run(10_000);
  const asked = fetchAll();
  await network.run(200);
  expect(asked.flatMap((each) => each.keys)).toEqual(keys);
  expect(network.b.vault.health().slots.pinned).toBe(0);
});

test("the token vanishes under load and comes back: supply goes on by itself", async () => {
  network = new RealNetwork();
  await network.up(8);
  const given = [...(await network.supplied(2)).keys];
  network.a.token.vanish();
  network.modules.make(4);
  await network.run(3000);
  expect((await network.supplied(1)).fault?.code).toBe("HSM_UNAVAILABLE");
  network.a.token.restore();
  await network.run(10_000);
  given.push(...(await network.supplied(2)).keys);
  expect(given).toHaveLength(4);
  expect(await network.fetched(given)).toEqual(given);
  expect(network.modules.waiting(0)).toBe(0);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])("seed %i: processes end anywhere, nothing is used twice or lost", async (seed) => {
  network = new RealNetwork({ seed, policy: { stockLow: 2, stockHigh: 4 } });
  const random = seeded(seed);
  await network.up(12);
  const given: GivenKey[] = [];
  for (let round = 0; round < 6; round++) {
    const asks = Array.from({ length: 4 }, () =>
      ask(network.a.km, { app: "app-a1", to: "app-b1", bits: 64 * random.between(1, 200) }),
    );
    network.modules.make(random.between(0, 3));
    for (let turn = random.between(0, 60); turn > 0; turn--) await new Promise(setImmediate);
    const node = random.fraction() < 0.6 ? network.a : network.b;
    node.crash(random.between(0, 2));
    network.wire.cut();
    given.push(...asks.flatMap(({ keys }) => keys));
    await node.boot();
    network.wire.connect();
    await network.run(500);
  }
  network.modules.make(8);
  await network.run(1000);
  given.push(...(await network.supplied(2)).keys);
  expect(given.length).toBeGreaterThan(2);
  expectUnique(given);
  expect(await network.fetched(given)).toEqual(given);
  expect([network.a.vault.health().slots.pinned, network.b.vault.health().slots.pinned]).toEqual([0, 0]);
  const alarms = [network.a, network.b].map(({ recorder }) => recorder.count("alarms"));
  expect(alarms).toEqual([0, 0]);
});

test("a disk that was restored from a backup is known by the token, and nothing of it is used", async () => {
  network = new RealNetwork();
  await network.up(8);
  const given = [...(await network.supplied(2)).keys];
  const backup = network.a.disk.snapshot();
  await network.a.stop();
  network.wire.cut();
  await network.a.boot();
  await network.a.stop();
  network.a.disk.restore(backup);
  await network.a.boot();
  expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
  network.modules.make(8);
  for (let round = 0; round < 3; round++) {
    network.wire.connect();
    await network.run(300);
  }
  given.push(...(await network.supplied(2)).keys);
  expect(given).toHaveLength(4);
  expectUnique(given);
  expect(await network.fetched(given)).toEqual(given);
});

describe("a row of a stopped KM that was changed on the disk", () => {
  const REST = 17;
  /** What somebody writes who has the disk, and not the token. */
  function setFields(node: RealNode, table: string, fields: object): number {
    const { rows, records } = node.disk.snapshot();
    const changed = [...rows].filter(([name]) => JSON.parse(name)[0] === table);
    const write = (bytes: Uint8Array) =>
      Buffer.concat([
        bytes.subarray(0, REST),
        serialize({ ...deserialize(Buffer.from(bytes.subarray(REST))), ...fields }),
      ]);
    node.disk.restore({
      rows: new Map([...rows, ...changed.map(([name, bytes]) => [name, write(bytes)] as const)]),
      records,
    });
    return changed.length;
  }

  const local = async (count: number): Promise<readonly GivenKey[]> => {
    const asked = ask(network.a.km, { app: "app-a1", to: "app-a2", count });
    await network.run(500);
    return asked.keys;
  };

  test("a mark that was set to zero supplies no key again: its KMA-key is gone", async () => {
    network = new RealNetwork();
    await network.a.boot();
    await network.run(500);
    const given = [...(await local(12))];
    await network.a.stop();
    const changed = setFields(network.a, "source", { mark: 0, state: "ready" });
    expect(changed).toBeGreaterThan(0);
    await network.a.boot();
    expect(network.a.recorder.count("rows_lost", { table: "source" })).toBe(changed);
    expect(network.a.recorder.count("alarms", { alarm: "row_damaged" })).toBe(1);
    given.push(...(await local(12)));
    expect(given).toHaveLength(24);
    expectUnique(given);
  });

  test("a bitmap of fetched ranges that was cleared gives no key again", async () => {
    network = new RealNetwork();
    await network.up(8);
    const given = (await network.supplied(4)).keys;
    expect(await network.fetched(given)).toEqual(given);
    await network.b.stop();
    network.wire.cut();
    expect(setFields(network.b, "held", { fetched: new Uint8Array(64) })).toBeGreaterThan(0);
    await network.b.boot();
    network.wire.connect();
    await network.run(500);
    expect(await network.fetched(given)).toEqual([]);
  });

  test("serials or marks of pads that were put back cost all keys, and supply goes on with new ones", async () => {
    for (const [table, fields] of [
      ["peer", { nextSerial: 1 }],
      ["pad", { ownSequence: 0, ownOffset: 0 }],
      ["link", { highest: 0 }],
    ] as const) {
      network = new RealNetwork();
      await network.up(8);
      const given = [...(await network.supplied(2)).keys];
      await network.a.stop();
      network.wire.cut();
      expect(setFields(network.a, table, fields)).toBeGreaterThan(0);
      await network.a.boot();
      expect(network.a.recorder.count("alarms", { alarm: "restored" })).toBe(1);
      network.modules.make(8);
      for (let round = 0; round < 3; round++) {
        network.wire.connect();
        await network.run(300);
      }
      given.push(...(await network.supplied(2)).keys);
      expect(given).toHaveLength(4);
      expectUnique(given);
      expect(await network.fetched(given)).toEqual(given);
      await network.down();
    }
  });
});
