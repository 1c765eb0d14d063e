// Keys of a kind: the extensions qkm_route_type and qkm_max_age, mandatory or not.

import { describe, expect, test } from "vitest";
import { ask } from "../support/apps.ts";
import { Network } from "../support/network.ts";

const AGED_MS = 5_000;
const FROM_TO = { app: "app-a1", to: "app-b1" } as const;

describe("mandatory", () => {
  test("of the right route: supplied from what is in stock", async () => {
    const network = await Network.up();
    const asked = ask(network.a.km, { ...FROM_TO, count: 3, only: { routeType: "direct" } });
    await network.run(100);
    expect(asked.keys).toHaveLength(3);
  });

  test.each(["relayed", "multipath"] as const)(
    "%s where there is one link: refused at once, nothing consumed",
    async (routeType) => {
      const network = await Network.up();
      const bytes = network.a.km.peers.get(network.b.id)?.stock.bytes;
      const asked = ask(network.a.km, { ...FROM_TO, only: { routeType } });
      await network.run(0);
      expect(asked.fault?.code).toBe("EXTENSION_UNMET");
      expect(network.a.km.peers.get(network.b.id)?.stock.bytes).toBe(bytes);
    },
  );

  test("younger than the stock: refused; as old as it: supplied", async () => {
    const network = await Network.up();
    await network.run(AGED_MS);
    const young = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 1_000 } });
    const old = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 2 * AGED_MS } });
    await network.run(100);
    expect(young.fault?.code).toBe("EXTENSION_UNMET");
    expect(old.keys).toHaveLength(1);
  });

  test("only the younger KMA-keys are carved when both are there", async () => {
    const network = await Network.up({ blocks: 4 });
    const { stock } = network.a.km.peers.get(network.b.id) ?? {};
    const oldest = stock?.keys()[0]?.serial;
    await network.run(AGED_MS);
    ask(network.a.km, { ...FROM_TO, count: 125 });
    network.modules.make(8);
    await network.run(200);
    const asked = ask(network.a.km, { ...FROM_TO, count: 2, only: { maxAgeMs: 1_000 } });
    await network.run(100);
    expect(asked.keys).toHaveLength(2);
    const serials = new Set(asked.keys.map(({ id }) => Number.parseInt(id.replaceAll("-", "").slice(0, 10), 16)));
    expect([...serials].every((serial) => serial > (oldest ?? 0))).toBe(true);
  });

  test("more than there are of the kind: refused whole, and the quota is given back", async () => {
    const network = await Network.up({ blocks: 2 });
    const many = ask(network.a.km, { ...FROM_TO, count: 700, bits: 64, only: { routeType: "direct" } });
    await network.run(100);
    expect(many.fault?.code).toBe("EXTENSION_UNMET");
    expect(network.a.vault.leases.blocks).toBe(0);
  });
});

describe("optional", () => {
  test("a wish that cannot be met is forgotten", async () => {
    const network = await Network.up();
    const asked = ask(network.a.km, { ...FROM_TO, count: 2, rather: { routeType: "multipath" } });
    await network.run(100);
    expect(asked.keys).toHaveLength(2);
  });

  test("with nothing in stock it waits like any other", async () => {
    const network = await Network.up({ blocks: 0 });
    const asked = ask(network.a.km, { ...FROM_TO, rather: { maxAgeMs: 10 } });
    await network.run(100);
    network.modules.make(4);
    await network.run(200);
    expect(asked.keys).toHaveLength(1);
  });

  test("beside a mandatory one: the better kind if it is there, else the one that must be", async () => {
    const network = await Network.up();
    const asked = ask(network.a.km, { ...FROM_TO, only: { routeType: "direct" }, rather: { maxAgeMs: 1 } });
    await network.run(100);
    expect(asked.keys).toHaveLength(1);
  });
});
