// docs/doors.md: whatever was supplied at one door is fetched at each other, once; two models of routers get the same key.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasOpenssl } from "../skip/kit.ts";
import { akFetch, akSupply } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import type { SaeKey } from "./support/sae.ts";
import { keyIdOf, skipKey } from "./support/skip.ts";

let network: Network;
beforeAll(async () => {
  network = await startNetwork({ ...PAIR, doors: ["skip"] });
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

test("what left by a door is counted under its name", async () => {
  const page = await network.km("km-b").metrics();
  expect(page.sum("qkm_keys_fetched_total", { door: "skip" })).toBeGreaterThan(0);
});
