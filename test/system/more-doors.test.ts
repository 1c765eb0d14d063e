// docs/doors.md: whatever was supplied at one door is fetched at each other, once; two models of routers get the same key, and
// a key manager of another make gives and takes keys over a border, ETSI GS QKD 020.

import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pskFile } from "../../src/cli/provision/more-doors.ts";
import { networkPlaces } from "../../src/cli/provision/plan.ts";
import { appId } from "../../src/core/ids.ts";
import { type ForeignKme, transferOf } from "../etsi020/foreign-kme.ts";
import { hasOpenssl } from "../skip/kit.ts";
import { borderUrl, foreignTo, withBorders } from "./support/borders.ts";
import { reload, rewrite } from "./support/config-file.ts";
import { connect004, uriOf } from "./support/etsi004.ts";
import { akFetch, akSupply } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { akRefusal } from "./support/refused.ts";
import type { SaeKey } from "./support/sae.ts";
import { keyIdOf, skipKey } from "./support/skip.ts";

/** The application of the other network, beyond the border of km-a, and what SKIP calls its key provider. */
const [BEYOND, SYSTEM] = ["sae-f1", "kme-f"];

let network: Network;
let foreign: ForeignKme;
beforeAll(async () => {
  network = await startNetwork({
    ...PAIR,
    doors: ["skip", "etsi004", "etsi020"],
    config: { etsi014: { max_additional_slaves: 4 } },
  });
  const a = network.km("km-a");
  foreign = await foreignTo(network, a);
  const beyond = { apps: { [BEYOND]: "foreign" }, systems: { [SYSTEM]: BEYOND } };
  await Promise.all([
    withBorders(a, { ...beyond, borders: [{ id: "foreign", url: foreign.url }] }),
    withBorders(network.km("km-b"), { ...beyond, home: "km-a" }),
  ]);
  await network.stocked();
}, 240_000);
afterAll(async () => {
  await foreign?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

interface Door {
  /** A new key of 256 bits for app-a1 and app-b1, or the other way round. */
  supply(from: string, to: string): Promise<SaeKey>;
  fetch(app: string, initiator: string, id: string): Promise<SaeKey>;
}

/** The remote system that stands for an application. */
const systemOf = (app: string): string => (app === BEYOND ? SYSTEM : network.app(app).km.id);

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

/** A key over one link, not older than an hour. */
const WITH_EXTENSIONS: Readonly<Record<string, () => Promise<SaeKey>>> = {
  Ak: async () => {
    await using client = await network.app("app-a1").connectAk();
    const only = { routeType: "direct", maxAgeMs: 3_600_000 } as const;
    return first(await akSupply(client, "app-b1", 1, 256, { only }));
  },
  "ETSI 014": async () => {
    const extension_mandatory = [{ qkm_route_type: "direct" }, { qkm_max_age: 3_600_000 }];
    return first(await network.app("app-a1").encKeys("app-b1", { extension_mandatory }));
  },
};

describe("extensions: a key of app-a1 with app-b1 over one link, not older than an hour", () => {
  const crossings = Object.keys(WITH_EXTENSIONS).flatMap((from) => ["Ak", "ETSI 014", "SKIP"].map((to) => [from, to]));
  test.each(crossings)("asked at %s is fetched at %s, once", async (asked = "", fetched = "") => {
    const supplied = await WITH_EXTENSIONS[asked]?.();
    const door = DOORS[fetched];
    expect(await door?.fetch("app-b1", "app-a1", supplied?.id ?? "")).toEqual(supplied);
    await expect(door?.fetch("app-b1", "app-a1", supplied?.id ?? "")).rejects.toThrow();
  });

  test("that cannot be met is refused at both doors", async () => {
    await using client = await network.app("app-a1").connectAk();
    const refused = akSupply(client, "app-b1", 1, 256, { only: { routeType: "relayed" } });
    expect((await akRefusal(refused)).code).toBe("EXTENSION_UNMET");
    const extension_mandatory = [{ qkm_route_type: "relayed" }];
    await expect(network.app("app-a1").encKeys("app-b1", { extension_mandatory })).rejects.toMatchObject({
      status: 400,
    });
  });
});

describe("ETSI 020: the border of km-a", () => {
  /** Comes over the border, for an application at home there; relayed at once. */
  async function arrived(target: string): Promise<SaeKey> {
    const transfer = transferOf(BEYOND, target, 1);
    const { text } = await foreign.post(`${borderUrl(network.km("km-a"))}/kmapi/v1/ext_keys`, transfer);
    expect(JSON.parse(text)).toMatchObject([{ ack_status: "relayed", target_sae_ids: [target] }]);
    const [{ key_id, value } = { key_id: "", value: "" }] = transfer.keys;
    return { id: key_id, key: Buffer.from(value, "base64") };
  }

  /** At home at the border, and at the other KM, where keys go on to and are named from. */
  const AT = (["app-a1", "app-b1"] as const).flatMap((app) => Object.keys(DOORS).map((door) => [app, door] as const));
  const NEIGHBOURS = { "app-a1": "app-a2", "app-b1": "app-b2" } as const;

  test.each(AT)("a key that came over it for %s, under a foreign ID, is fetched at %s, once", async (app, door) => {
    const key = await arrived(app);
    await expect(DOORS[door]?.fetch(NEIGHBOURS[app], BEYOND, key.id)).rejects.toThrow();
    expect(await DOORS[door]?.fetch(app, BEYOND, key.id)).toEqual(key);
    for (const [name, every] of Object.entries(DOORS)) {
      if (isQuick([name])) await expect(every.fetch(app, BEYOND, key.id)).rejects.toThrow();
    }
  });

  test.each(AT)(
    "a key that %s asks for at %s leaves over it, and the other network has the same",
    async (app, door) => {
      const key = await DOORS[door]?.supply(app, BEYOND);
      expect(foreign.keys.get(key?.id ?? "")).toBe(key?.key.toString("base64"));
    },
  );

  test.each(Object.keys(WITH_EXTENSIONS))("an ID of this network is none of the other's at %s", async (door) => {
    const key = await WITH_EXTENSIONS[door]?.();
    await expect(DOORS[door]?.fetch("app-a1", BEYOND, key?.id ?? "")).rejects.toThrow();
  });

  test("several applications, sessions and streams end at it, by name", async () => {
    const a1 = network.app("app-a1");
    const multicast = a1.encKeys("app-b1", { additional_slave_SAE_IDs: [BEYOND] });
    await expect(multicast).rejects.toMatchObject({ body: expect.stringContaining("another network") });
    await using client = await a1.connectAk();
    const opened = client.openSession({ destination: appId(BEYOND) });
    expect((await akRefusal(opened)).code).toBe("NO_ROUTE");
    using stream = await connect004(network, "app-a1", "A");
    expect((await stream.open(uriOf(network, "app-a1"), `qkd://${BEYOND}@kme-f`, {})).status).toBe(4);
  });

  test("all that crossed it was as the standard's schemas have it", () => {
    expect(foreign.complaints).toEqual([]);
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
  for (const door of ["ak", "etsi014", "skip", "etsi004"]) {
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
      const { remotes } = tables.skip as { remotes: { system: string }[] };
      for (const remote of remotes) if (remote.system === "km-b") remote.system = "other-site";
    });
    expect(await reload(km)).toMatchObject({ changed: [{ key: "skip.remotes", what: "changed" }], restart: [] });
    await key("other-site");
    await expect(key("km-b")).rejects.toThrow();
    writeFileSync(km.configPath, before);
    await reload(km);
  },
);
