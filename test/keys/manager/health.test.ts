// Token and store that go away and come back, and the orderly stop (design 7).

import { describe, expect, test } from "vitest";
import { ask, fetchKeys } from "../support/apps.ts";
import { expectAgreement, expectOneUse } from "../support/ledger.ts";
import { Network } from "../support/network.ts";

const wish = { app: "app-a1", to: "app-b1" } as const;

describe("the token", () => {
  test("gone: who waits and who comes gets HSM_UNAVAILABLE; back: all goes on by itself", async () => {
    const network = await Network.up({ blocks: 0 });
    const waits = ask(network.a.km, wish);
    await network.run(10);
    network.a.vault.token("gone");
    expect(waits.fault?.code).toBe("HSM_UNAVAILABLE");
    expect(ask(network.a.km, wish).fault?.code).toBe("HSM_UNAVAILABLE");
    expect(fetchKeys(network.a.km, "app-a1", "app-b1", ["x"]).fault?.code).toBe("HSM_UNAVAILABLE");
    network.modules.make(8);
    await network.run(20_000);
    expect(network.modules.waiting(0)).toBeGreaterThan(0);
    network.a.vault.token("ready");
    await network.run(2000);
    expect(network.modules.waiting(0)).toBe(0);
    const asked = ask(network.a.km, wish);
    await network.run(1000);
    expect(asked.outcome).toBe("granted");
    expectAgreement(network.a, network.b);
  });

  test("away for long costs no block and no time: relays go on at once when it is back", async () => {
    const network = await Network.up({ blocks: 6, policy: { stockLow: 0, stockHigh: 0 } });
    network.a.vault.token("gone");
    for (let second = 0; second < 200; second++) {
      ask(network.a.km, wish);
      await network.run(1000);
    }
    network.a.vault.token("ready");
    const asked = ask(network.a.km, wish);
    await network.run(100);
    expect(asked.outcome).toBe("granted");
    expect(network.a.recorder.count("kma_keys_ended") + network.a.recorder.count("blocks_ended")).toBe(0);
  });

  test.each([1, 2, 3, 5, 8, 13, 21])("that comes and goes every %i turns under load breaks no rule", async (turns) => {
    const network = await Network.up({ blocks: 8 });
    const asks = [];
    for (let round = 0; round < 30; round++) {
      asks.push(ask(network.a.km, { ...wish, bits: 8000 }));
      network.modules.make(1);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      network.a.vault.token("gone");
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      network.a.vault.token("ready");
      await network.run(100);
    }
    await network.run(70_000);
    const given = asks.flatMap(({ keys }) => keys);
    expect(given.length).toBeGreaterThan(0);
    const ids = given.map(({ id }) => id);
    const got = ids.map((id) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
    await network.run(100);
    expect(got.flatMap(({ keys }) => keys)).toEqual(given);
    expectOneUse([network.a, network.b], given);
    expectAgreement(network.a, network.b);
    expect(network.a.vault.leases.blocks).toBe(0);
    expect(asks.every(({ answers }) => answers === 1)).toBe(true);
  });
});

describe("the store", () => {
  test("failing: STORE_UNAVAILABLE, nothing is acknowledged to the module; back: all goes on", async () => {
    const network = await Network.up({ blocks: 0 });
    network.a.machine.fate = () => "rejected, lost";
    network.modules.make(4);
    await network.run(100);
    expect(ask(network.a.km, wish).fault?.code).toBe("STORE_UNAVAILABLE");
    expect(network.modules.waiting(0)).toBe(4);
    network.a.machine.fate = () => "durable";
    network.a.vault.store("ready");
    await network.run(3000);
    expect(network.modules.waiting(0)).toBe(0);
    const asked = ask(network.a.km, wish);
    await network.run(1000);
    expect(asked.outcome).toBe("granted");
  });

  test("away for long costs one block at most, and no time", async () => {
    const network = await Network.up({ blocks: 6, policy: { stockLow: 0, stockHigh: 0 } });
    const waits = ask(network.a.km, wish);
    network.a.machine.fate = () => "rejected, lost";
    Object.assign(network.a.parts.context.policy, { stockLow: 2, stockHigh: 2 });
    await network.run(200_000);
    network.a.machine.fate = () => "durable";
    network.a.vault.store("ready");
    const asked = ask(network.a.km, wish);
    await network.run(100);
    expect([waits.fault?.code, asked.outcome]).toEqual(["STORE_UNAVAILABLE", "granted"]);
    expect(network.a.recorder.count("kma_keys_ended", { peer: "km-b" })).toBeLessThanOrEqual(1);
  });

  test.each(["rejected, lost", "rejected, kept"] as const)("%s, at each commit of a busy second", async (fate) => {
    for (let nth = 1; nth <= 16; nth++) {
      const network = await Network.up({ blocks: 8 });
      const before = network.a.machine.commits;
      network.a.machine.fate = (n) => (n === before + nth ? fate : "durable");
      const asks = [];
      for (let round = 0; round < 10; round++) {
        asks.push(ask(network.a.km, { ...wish, bits: 8000 }));
        network.modules.make(1);
        await network.run(50);
        network.a.vault.store("ready");
      }
      await network.run(10_000);
      network.a.machine.fate = () => "durable";
      await network.reboot(network.a);
      const after = ask(network.a.km, wish);
      await network.run(1000);
      const given = [...asks.flatMap(({ keys }) => keys), ...after.keys];
      const got = given.map(({ id }) => fetchKeys(network.b.km, "app-b1", "app-a1", [id]));
      await network.run(100);
      expect(got.flatMap(({ keys }) => keys)).toEqual(given);
      expect(after.outcome).toBe("granted");
      expectOneUse([network.a, network.b], given);
      expectAgreement(network.a, network.b);
    }
  });
});

describe("the orderly stop", () => {
  test("refuses who waits and what comes, leaves no timer, and writes nothing after", async () => {
    const network = await Network.up({ blocks: 8 });
    const waits = ask(network.a.km, { ...wish, bits: 32_000, count: 9 });
    await network.run(10);
    const { km } = network.a;
    await km.stop();
    expect(waits.fault?.code).toBe("STOPPING");
    expect(ask(km, wish).fault?.code).toBe("STOPPING");
    expect(fetchKeys(km, "app-a1", "app-b1", []).fault?.code).toBe("STOPPING");
    const { commits } = network.a.machine;
    network.modules.make(4);
    network.wire.cut();
    network.wire.connect();
    await network.run(120_000);
    expect(network.a.machine.commits).toBe(commits);
  });

  test("leaves no timer behind on any of its clocks", async () => {
    const network = await Network.up({ blocks: 8 });
    network.wire.lose = ({ kind }) => kind === "confirmation";
    network.modules.make(20);
    ask(network.a.km, { ...wish, bits: 32_000 });
    await network.run(10);
    const [a, b] = [network.a.km, network.b.km];
    const stops = Promise.all([a.stop(), b.stop()]);
    await network.run(20_000);
    await stops;
    network.wire.cut();
    expect(network.clock.waiting).toBe(0);
  });

  test("ends though the store fails and a block waits for it", async () => {
    const network = await Network.up({ blocks: 0 });
    network.a.machine.fate = () => "rejected, lost";
    network.modules.make(2);
    await network.run(100);
    await expect(network.a.km.stop()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  });
});

test("a start that fails for want of the token gives everything back, and the next one succeeds", async () => {
  const network = await Network.up({ blocks: 8 });
  network.a.crash();
  network.wire.cut();
  const machine = network.a.machine;
  const boot = network.a.boot();
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  const first = machine.vault;
  first?.token("gone");
  await expect(boot).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
  expect(first?.leases).toEqual({ blocks: 0, idKeys: 0 });
  await network.a.boot();
  network.wire.connect();
  await network.run(100);
  expectAgreement(network.a, network.b);
});
