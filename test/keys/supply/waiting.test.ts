// Too little stock: who waits, for how long, in which order, and who is refused at once (design 6).

import { describe, expect, test } from "vitest";
import { ask, fetchKeys, type Wish } from "../support/apps.ts";
import { APPS, Network, QUOTA } from "../support/network.ts";

const BITS_3000 = { bits: 24_000 } as const;
const wish = (more: Partial<Wish> = {}): Wish => ({ app: "app-a1", to: "app-b1", ...more });

describe("a request that waits", () => {
  test("is served when a relay completes", async () => {
    const network = await Network.up({ blocks: 0 });
    const asked = ask(network.a.km, wish());
    await network.run(1000);
    expect(asked.outcome).toBeUndefined();
    network.modules.make(2);
    await network.run(200);
    expect(asked.keys).toHaveLength(1);
  });

  test("is refused with INSUFFICIENT_KEYS when supply_timeout ends, and gets its quota back", async () => {
    const quota = { bitsPerS: 1, burstBits: 256 };
    const apps = APPS.map((app) => (app.id === "app-a1" ? { ...app, quota } : app));
    const network = await Network.up({ blocks: 0, apps });
    const first = ask(network.a.km, wish());
    await network.run(4999);
    expect(first.outcome).toBeUndefined();
    await network.run(1);
    expect(first.fault?.code).toBe("INSUFFICIENT_KEYS");
    expect(first.fault?.retryAfterMs).toBeGreaterThan(0);
    network.modules.make(2);
    await network.run(200);
    expect(ask(network.a.km, wish()).fault).toBeUndefined();
    expect(ask(network.a.km, wish()).fault?.code).toBe("QUOTA_EXCEEDED");
  });

  test("never gets fewer keys than asked: it waits for all of them", async () => {
    const network = await Network.up({ blocks: 2 });
    const asked = ask(network.a.km, wish({ bits: 8192, count: 8 }));
    await network.run(500);
    expect(asked.outcome).toBeUndefined();
    network.modules.make(4);
    await network.run(200);
    expect(asked.keys).toHaveLength(8);
  });

  test("is forgotten when its client goes", async () => {
    const network = await Network.up({ blocks: 0 });
    const asked = ask(network.a.km, wish());
    asked.cancel();
    asked.cancel();
    network.modules.make(4);
    await network.run(6000);
    expect(asked.answers).toBe(0);
    expect(network.a.parts.admission.waiting).toBe(0);
  });

  test("makes room for the next when it is given up, though no key has come", async () => {
    const network = await Network.up({ blocks: 2 });
    const large = ask(network.a.km, wish({ ...BITS_3000, count: 3 }));
    const small = ask(network.a.km, wish({ app: "app-a2" }));
    await network.run(100);
    expect([large.outcome, small.outcome]).toEqual([undefined, undefined]);
    large.cancel();
    await network.run(1);
    expect(small.outcome).toBe("granted");
  });

  test("makes room for the next when it times out", async () => {
    const network = await Network.up({ blocks: 2 });
    const large = ask(network.a.km, wish({ ...BITS_3000, count: 3 }));
    await network.run(1000);
    const small = ask(network.a.km, wish({ app: "app-a2" }));
    await network.run(4001);
    expect([large.outcome, small.outcome]).toEqual(["refused", "granted"]);
  });

  test("gets a new KMA-key when no rest in stock is long enough for one of its keys", async () => {
    const network = await Network.up({ blocks: 40 });
    for (let round = 0; round < 12; round++) {
      const asked = ask(network.a.km, wish(BITS_3000));
      await network.run(200);
      expect([round, asked.outcome]).toEqual([round, "granted"]);
    }
  });

  test("waits until the state exchange has ended, then PEER_UNAVAILABLE", async () => {
    const network = new Network();
    await network.a.boot();
    const asked = ask(network.a.km, wish());
    await network.run(5000);
    expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
  });
});

test("where nothing comes in because the peer is gone, the refusal at the end of the wait says so", async () => {
  const network = await Network.up({ blocks: 0 });
  network.wire.cut();
  const asked = ask(network.a.km, wish());
  await network.run(5000);
  expect(asked.fault?.code).toBe("PEER_UNAVAILABLE");
});

describe("rests of KMA-keys", () => {
  test("too short for a large request are left to small ones: none reaches into more blocks than memory holds", async () => {
    const network = await Network.up({ blocks: 60, slots: 10, policy: { stockLow: 4, stockHigh: 4 } });
    for (let round = 0; round < 20; round++) {
      const most = ask(network.a.km, wish({ bits: 31_232 }));
      await network.run(100);
      expect([round, most.outcome]).toEqual([round, "granted"]);
    }
    const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
    expect(stock?.keys().filter(({ left }) => left === 96).length).toBeGreaterThan(12);
    const large = ask(network.a.km, wish({ count: 300 }));
    await network.run(1000);
    expect(large.outcome).toBe("granted");
    const back = fetchKeys(
      network.b.km,
      "app-b1",
      "app-a1",
      large.keys.map(({ id }) => id),
    );
    await network.run(100);
    expect(back.keys).toEqual(large.keys);
    const small = ask(network.a.km, wish());
    await network.run(100);
    expect(small.keys[0]?.id.slice(0, 11)).not.toBe(large.keys[0]?.id.slice(0, 11));
  });

  test("of many KMA-keys are destroyed, the shortest first, when only large keys are asked", async () => {
    const network = await Network.up({ blocks: 200, keepBlocks: 200, policy: { maxHeld: 100 } });
    for (let round = 0; round < 60; round++) {
      const asked = ask(network.a.km, wish(BITS_3000));
      await network.run(100);
      expect([round, asked.outcome]).toEqual([round, "granted"]);
    }
    await network.run(1000);
    const { stock } = network.a.parts.peers.get(network.b.id) ?? {};
    expect(stock?.keys().filter(({ state }) => state === "open").length).toBeLessThanOrEqual(32);
    expect(network.a.recorder.count("kma_keys_ended", { reason: "tail" })).toBeGreaterThan(20);
  });
});

describe("a request that cannot be in time", () => {
  test("is refused at once with the time to retry after, at 2 kbit/s in blocks of 4 KiB", async () => {
    const network = await Network.up({ blocks: 0 });
    for (let block = 0; block < 4; block++) {
      network.modules.make(1);
      await network.run(16_384);
    }
    const rest = ask(network.a.km, wish({ bits: 32_000, count: 2 }));
    await network.run(100);
    expect(rest.outcome).toBe("granted");
    const asked = ask(network.a.km, wish());
    expect(asked.fault?.code).toBe("INSUFFICIENT_KEYS");
    expect(asked.fault?.retryAfterMs).toBeGreaterThan(5000);
    expect(asked.fault?.retryAfterMs).toBeLessThan(33_000);
    expect(network.a.parts.admission.waiting).toBe(0);
  });

  test("is not confused with one that only waits for a durable mark while others do", async () => {
    const network = await Network.up({ blocks: 0, policy: { stockHigh: 8, stockLow: 8 } });
    for (let block = 0; block < 8; block++) {
      network.modules.make(1);
      await network.run(16_384);
    }
    const many = Array.from({ length: 10 }, () => ask(network.a.km, wish()));
    await network.run(10);
    expect(many.map(({ outcome }) => outcome)).toEqual(many.map(() => "granted"));
  });
});

describe("many requests", () => {
  test("of three apps are served in turn, whoever asked most", async () => {
    const network = await Network.up({ blocks: 0 });
    const order: string[] = [];
    const asks = ["app-a1", "app-a1", "app-a1", "app-a2", "app-a2", "app-a3"].map((app) => ({
      app,
      asked: ask(network.a.km, wish({ app, bits: 32_000 })),
    }));
    for (let round = 0; round < 6; round++) {
      network.modules.make(2);
      await network.run(200);
      for (const { app, asked } of asks) {
        if (asked.outcome === "granted") order.push(app);
      }
      asks.splice(0, asks.length, ...asks.filter(({ asked }) => asked.outcome === undefined));
    }
    expect(order).toEqual(["app-a1", "app-a2", "app-a3", "app-a1", "app-a2", "app-a1"]);
  });

  test("beyond the most that may wait are refused with BUSY and keep their quota", async () => {
    const network = await Network.up({ blocks: 0, policy: { maxWaiting: 3 } });
    const asks = Array.from({ length: 5 }, () => ask(network.a.km, wish()));
    expect(asks.map(({ fault }) => fault?.code)).toEqual([undefined, undefined, undefined, "BUSY", "BUSY"]);
    network.modules.make(2);
    await network.run(200);
    expect(asks.filter(({ outcome }) => outcome === "granted")).toHaveLength(3);
  });

  test("are as many as a configuration says that is taken while the key manager runs", async () => {
    const { a } = await Network.up({ blocks: 0, policy: { maxWaiting: 3 } });
    const more = { ...a.settings, policy: { ...a.settings.policy, maxWaiting: 4 } };
    a.km.reconfigure(await a.km.prepareReconfigure(more));
    const asks = Array.from({ length: 5 }, () => ask(a.km, wish()));
    expect(asks.map(({ fault }) => fault?.code)).toEqual([undefined, undefined, undefined, undefined, "BUSY"]);
  });
});

describe("the quota", () => {
  const quota = { bitsPerS: 256, burstBits: 512 };
  const apps = APPS.map((app) => (app.id === "app-a1" ? { ...app, quota } : { ...app, quota: QUOTA }));

  test("refuses beyond the burst, says when to ask again, and is right about it", async () => {
    const network = await Network.up({ apps });
    expect(ask(network.a.km, wish({ count: 2 })).fault).toBeUndefined();
    const refused = ask(network.a.km, wish());
    expect([refused.fault?.code, refused.fault?.retryAfterMs]).toEqual(["QUOTA_EXCEEDED", 1000]);
    expect(ask(network.a.km, wish({ app: "app-a2" })).fault).toBeUndefined();
    await network.run(1000);
    const again = ask(network.a.km, wish());
    await network.run(10);
    expect(again.outcome).toBe("granted");
  });

  test("never lets pass a request larger than the burst", async () => {
    const network = await Network.up({ apps });
    const refused = ask(network.a.km, wish({ count: 3 }));
    expect(refused.fault?.response).toContain("quota_burst_bits");
  });
});
