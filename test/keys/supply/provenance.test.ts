// Keys of a kind: the extensions qkm_route_type and qkm_max_age, mandatory or not.

import { describe, expect, test } from "vitest";
import { ask, fetchKeys } from "../support/apps.ts";
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
      const bytes = network.a.parts.peers.get(network.b.id)?.stock.bytes;
      const asked = ask(network.a.km, { ...FROM_TO, only: { routeType } });
      await network.run(0);
      expect(asked.fault?.code).toBe("EXTENSION_UNMET");
      expect(network.a.parts.peers.get(network.b.id)?.stock.bytes).toBe(bytes);
    },
  );

  test("younger than the stock, and no block is there: refused in the end, and told how old the youngest is and when to retry", async () => {
    const network = await Network.up({ blocks: 2 });
    await network.run(AGED_MS);
    const young = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 1_000 } });
    const old = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 2 * AGED_MS } });
    await network.run(100);
    expect([young.outcome, old.keys.length]).toEqual([undefined, 1]);
    await network.run(5_000);
    expect(young.fault).toMatchObject({ code: "EXTENSION_UNMET", retryAfterMs: expect.any(Number) });
    const [{ youngest_age_ms: ageMs } = {}] = young.fault?.details ?? [];
    expect(Number(ageMs)).toBeGreaterThanOrEqual(2 * AGED_MS - 1_000);
    expect(young.fault?.etsi014Message).toBe("not all extension_mandatory request options could be met");
    expect(network.a.km.progress().supply).toEqual({ waiting: 0, ended: 1 });
  });

  describe("younger than the stock of a quiet network", () => {
    const serialOf = ({ id }: { readonly id: string }) => Number.parseInt(id.replaceAll("-", "").slice(0, 10), 16);

    test("a fresh KMA-key is relayed for it, for all who ask meanwhile, and fetched by its ID", async () => {
      const network = await Network.up({ blocks: 20 });
      await network.run(AGED_MS);
      const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
      const { nextSerial = 0, size = 0 } = stock ?? {};
      const asked = [1, 2, 3].map((count) => ask(network.a.km, { ...FROM_TO, count, only: { maxAgeMs: 1_000 } }));
      await network.run(200);
      const keys = asked.flatMap((one) => one.keys);
      expect(keys.map(serialOf)).toEqual(Array(6).fill(nextSerial));
      expect(stock?.size).toBe(size + 1);
      const ids = keys.map(({ id }) => id);
      const fetched = fetchKeys(network.b.km, "app-b1", "app-a1", ids);
      await network.run(50);
      expect(fetched.keys).toEqual(keys);
      expect(network.a.vault.leases.blocks).toBe(0);
    });

    test("between two applications of this KM, too", async () => {
      const network = await Network.up({ blocks: 0 });
      await network.run(AGED_MS);
      const asked = ask(network.a.km, { app: "app-a1", to: "app-a2", only: { maxAgeMs: 1_000 } });
      await network.run(200);
      expect(asked.keys).toHaveLength(1);
    });

    test("who asks again and again has one KMA-key in a while, and the stock does not grow without bound", async () => {
      const network = await Network.up({ blocks: 200, keepBlocks: 200, policy: { maxHeld: 4096 } });
      const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
      const first = stock?.nextSerial ?? 0;
      const answers: string[] = [];
      for (let second = 0; second < 60; second++) {
        const asked = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 1 } });
        await network.run(1_000);
        answers.push(asked.fault?.code ?? asked.outcome ?? "waits");
      }
      // Two hours are kept, so 4,096 KMA-keys would be one in some 2 s, for the half of them.
      expect((stock?.nextSerial ?? 0) - first).toBeLessThanOrEqual(60_000 / 2_000);
      expect(stock?.size).toBeLessThanOrEqual(2 * 4 + 1);
      expect(answers).toContain("granted");
    });

    test("given up, it waits no more and pays nothing", async () => {
      const network = await Network.up({ blocks: 0 });
      const asked = ask(network.a.km, { ...FROM_TO, only: { maxAgeMs: 1_000 } });
      await network.run(10);
      expect(network.a.km.progress().supply.waiting).toBe(1);
      asked.cancel();
      await network.run(10_000);
      expect([asked.answers, network.a.km.progress().supply]).toEqual([0, { waiting: 0, ended: 1 }]);
    });
  });

  test("only the younger KMA-keys are carved when both are there", async () => {
    const network = await Network.up({ blocks: 4 });
    const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
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
