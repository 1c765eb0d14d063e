// docs/doors.md: whatever was supplied at one door is fetched at each other, once; two models of routers get the same key.

import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pskFile } from "../../src/cli/provision/more-doors.ts";
import { networkPlaces } from "../../src/cli/provision/plan.ts";
import { hasOpenssl } from "../skip/kit.ts";
import { reload, rewrite } from "./support/config-file.ts";
import { connect004, uriOf } from "./support/etsi004.ts";
import { akFetch, akSupply } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import type { SaeKey } from "./support/sae.ts";
import { keyIdOf, skipKey } from "./support/skip.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork({
    ...PAIR,
    doors: ["skip", "etsi004"],
    config: { etsi014: { max_additional_slaves: 4 } },
  });
  await network.stocked();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

interface Door {
  /** A new key of 256 bits for app-a1 and app-b1, or the other way round. */
  supply(from: string, to: string): Promise<SaeKey>;
  fetch(app: string, initiator: string, id: string): Promise<SaeKey>;
}

/** The remote system that stands for an application. */
const systemOf = (app: string): string => network.app(app).km.id;

const first = ([key]: readonly SaeKey[]): SaeKey => {
  if (key === undefined) throw new Error("no key");
  return key;
};

const skip = (by: "certificate" | "psk"): Door => ({
  supply: (from, to) => skipKey(network, from, `/key?remoteSystemID=${systemOf(to)}`, by),
  fetch: (app, initiator, id) => skipKey(network, app, `/key/${keyIdOf(id)}?remoteSystemID=${systemOf(initiator)}`, by),
});

const DOORS: Readonly<Record<string, Door>> = {
  Ak: {
    async supply(from, to) {
      await using client = await network.app(from).connectAk();
      return first(await akSupply(client, to));
    },
    async fetch(app, initiator, id) {
      await using client = await network.app(app).connectAk();
      return first(await akFetch(client, initiator, [id]));
    },
  },
  "ETSI 014": {
    supply: async (from, to) => first(await network.app(from).encKeys(to)),
    fetch: async (app, initiator, id) => first(await network.app(app).decKeys(initiator, [id])),
  },
  SKIP: skip("certificate"),
  ...(hasOpenssl && { "SKIP by PSK": skip("psk") }),
};

const CROSSINGS = Object.keys(DOORS).flatMap((from) => Object.keys(DOORS).map((to) => [from, to] as const));
/** A handshake with a pre-shared key takes longer than all else here. */
const isQuick = (crossing: readonly string[]): boolean => !crossing.join().includes("PSK");

describe.each([
  ["app-a1", "app-b1", CROSSINGS],
  ["app-b1", "app-a1", CROSSINGS.filter(isQuick)],
] as const)("a key of %s with %s", (initiator, target, crossings) => {
  test.each(crossings)("asked at %s is fetched at %s, once", async (asked, fetched) => {
    const [one, other] = [DOORS[asked], DOORS[fetched]];
    if (one === undefined || other === undefined) throw new Error("no such door");
    const supplied = await one.supply(initiator, target);
    expect(supplied.key).toHaveLength(32);
    expect(await other.fetch(target, initiator, supplied.id)).toEqual(supplied);
    await expect(other.fetch(target, initiator, supplied.id)).rejects.toThrow();
  });
});

describe("extensions: a key of app-a1 with app-b1 over one link, not older than an hour, asked at ETSI 014", () => {
  test.each(["Ak", "ETSI 014", "SKIP"])("is fetched at %s, once", async (door) => {
    const extension_mandatory = [{ qkm_route_type: "direct" }, { qkm_max_age: 3_600_000 }];
    const supplied = first(await network.app("app-a1").encKeys("app-b1", { extension_mandatory }));
    expect(await DOORS[door]?.fetch("app-b1", "app-a1", supplied.id)).toEqual(supplied);
    await expect(DOORS[door]?.fetch("app-b1", "app-a1", supplied.id)).rejects.toThrow();
  });
});

/** At which doors app-b1, app-b2 and app-a2 fetch. A system of SKIP stands for no application at home at the same KM. */
const MULTICASTS = [
  ["Ak", "ETSI 014", "Ak"],
  ["ETSI 014", "SKIP", "Ak"],
  ["SKIP", "Ak", "ETSI 014"],
] as const;

describe("multicast: keys of app-a1 with app-b1 and two more", () => {
  test.each(MULTICASTS)(
    "are fetched by app-b1 at %s, by app-b2 at %s, by app-a2 at %s, once each",
    async (...doors) => {
      const [b2, a2] = ["app-b2", "app-a2"];
      const keys = await network.app("app-a1").encKeys("app-b1", { number: 2, additional_slave_SAE_IDs: [b2, a2] });
      expect(keys).toHaveLength(2);
      for (const [at, app] of ["app-b1", b2, a2].entries()) {
        const door = DOORS[doors[at] ?? ""];
        for (const key of keys) {
          expect(await door?.fetch(app, "app-a1", key.id)).toEqual(key);
          await expect(door?.fetch(app, "app-a1", key.id)).rejects.toThrow();
        }
      }
    },
  );

  test("are refused to those who are not among them", async () => {
    const [key] = await network.app("app-a1").encKeys("app-b1", { additional_slave_SAE_IDs: ["app-a2"] });
    await expect(network.app("app-b2").decKeys("app-a1", [key?.id ?? ""])).rejects.toThrow("401");
    expect(await network.app("app-a2").decKeys("app-a1", [key?.id ?? ""])).toEqual([key]);
  });
});

describe.each([
  ["A", "B"],
  ["B", "A"],
] as const)("ETSI 004: a stream of app-a1 over wire %s and app-b1 over wire %s", (one, other) => {
  test("has the same key at each index for both, over another connection too, until it is closed", async () => {
    const [a1, b1] = [uriOf(network, "app-a1"), uriOf(network, "app-b1")];
    using first = await connect004(network, "app-a1", one);
    const opened = await first.open(a1, b1, { chunk: 512, min: 1000, timeout: 8000, ttl: 600 });
    const { ksid = "" } = opened;
    expect(opened).toMatchObject({ status: one === "A" ? 1 : 0, qos: { chunk: 512, min: 1000, ttl: 600 } });
    using second = await connect004(network, "app-b1", other);
    expect(await second.open(a1, b1, {}, ksid)).toMatchObject({ status: 0, ksid, qos: { chunk: 512 } });
    for (const index of [0, 1, 7, 3]) {
      const [here, there] = await Promise.all([first.getKey(ksid, index), second.getKey(ksid, index)]);
      expect([here.status, here.key.length, there.status]).toEqual([0, 512, 0]);
      expect(there.key).toEqual(here.key);
      expect(JSON.parse(here.metadata)).toEqual({ age: expect.any(Number), hops: 0 });
    }
    first.socket.destroy();
    using again = await connect004(network, "app-a1", one);
    expect((await again.getKey(ksid, 7)).status).toBe(2);
    const [there, here] = [await second.getKey(ksid, 8), await again.getKey(ksid, 8)];
    expect([here.status, here.key]).toEqual([0, there.key]);
    using stranger = await connect004(network, "app-a2", one);
    expect((await stranger.open(uriOf(network, "app-a2"), b1, {}, ksid)).status).toBe(5);
    expect((await stranger.getKey(ksid, 9)).status).toBe(3);
    expect([await again.close(ksid), await second.close(ksid), await second.close(ksid)]).toEqual([0, 0, 3]);
  });

  test("is promised no more than the links bring", async () => {
    using client = await connect004(network, "app-a1", one);
    const { status, qos } = await client.open(uriOf(network, "app-a1"), uriOf(network, "app-b1"), {
      min: 4_000_000_000,
    });
    expect([status, (qos?.min ?? 0) < 100_000_000]).toEqual([7, true]);
  });
});

test("what left by a door is counted under its name", async () => {
  const page = await network.km("km-b").metrics();
  for (const door of ["skip", "etsi004"]) {
    expect(page.sum("qkm_keys_fetched_total", { door })).toBeGreaterThan(0);
  }
});

test.runIf(hasOpenssl)(
  "encryptors of SKIP: another pre-shared key counts from the reload on, and so does another name of a system",
  async () => {
    const km = network.km("km-a");
    const before = readFileSync(km.configPath, "utf8");
    const key = (system: string) => skipKey(network, "app-a1", `/key?remoteSystemID=${system}`, "psk");
    await key("km-b");
    const file = pskFile(networkPlaces(network.dir).apps, "app-a1");
    writeFileSync(file, randomBytes(32).toString("hex"));
    await expect(key("km-b")).rejects.toThrow();
    expect(await reload(km)).toMatchObject({ changed: [], renewed: ["skip"] });
    await key("km-b");
    rewrite(km, (tables) => {
      for (const remote of (tables.skip as { remotes: { system: string }[] }).remotes) remote.system = "other-site";
    });
    expect(await reload(km)).toMatchObject({ changed: [{ key: "skip.remotes", what: "changed" }], restart: [] });
    await key("other-site");
    await expect(key("km-b")).rejects.toThrow();
    writeFileSync(km.configPath, before);
    await reload(km);
  },
);
