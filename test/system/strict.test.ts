// Two real KMs that take each other for another make: whole keys under TLS, through both doors, kill -9 and restarts.

import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { akFetch, akSupply, idsOf } from "./support/keys.ts";
import { type Network, startNetwork } from "./support/network.ts";
import type { Plan } from "./support/plan.ts";
import type { SaeKey } from "./support/sae.ts";

const strict = (fetcher: string) => ({ dialect: "strict", fetch_apps: [fetcher] });

const PLAN: Plan = {
  kms: [
    { id: "km-a", apps: ["app-a1"], config: { peers: { "km-b": strict("app-a1") } } },
    { id: "km-b", apps: ["app-b1", "app-b2"], config: { peers: { "km-a": strict("app-b1") } } },
  ],
  links: [],
};

let network: Network;
beforeAll(async () => {
  network = await startNetwork(PLAN);
  await stocked();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

/** Every KM has keys ready for the other. */
const stocked = (): Promise<void> =>
  eventually("both have keys for each other", async () => {
    const reports = await Promise.all(network.kms.map((km) => km.status()));
    return reports.every(({ peers }) => peers.some((peer) => peer.strict && peer.connected && peer.storedKeys > 0));
  });

const plain = (keys: readonly SaeKey[]): readonly (readonly [string, string])[] =>
  keys.map(({ id, key }) => [id, key.toString("hex")]);

test("design 5: keys supplied over one door are fetched over the other at the far end, once, by the named app alone", async () => {
  const keys = await network.app("app-a1").encKeys("app-b1", { number: 3 });
  await using other = await network.app("app-b2").connectAk();
  await expect(akFetch(other, "app-a1", idsOf(keys))).rejects.toThrow("NOT_AUTHORIZED");
  await using client = await network.app("app-b1").connectAk();
  expect(plain(await akFetch(client, "app-a1", idsOf(keys)))).toEqual(plain(keys));
  await expect(akFetch(client, "app-a1", idsOf(keys))).rejects.toThrow("KEY_NOT_FOUND");
  const back = await akSupply(client, "app-a1", 2, 1_024);
  expect(plain(await network.app("app-a1").decKeys("app-b1", idsOf(back)))).toEqual(plain(back));
});

test("key-protocol 4: what was relayed outlives kill -9 at both ends, and nothing is supplied twice", async () => {
  const before = await network.app("app-a1").encKeys("app-b1", { number: 5 });
  await Promise.all(network.kms.map((km) => km.kill()));
  await Promise.all(network.kms.map((km) => km.start()));
  await stocked();
  const after = await network.app("app-a1").encKeys("app-b1", { number: 64 });
  const ids = [...idsOf(before), ...idsOf(after)];
  expect(new Set(ids).size).toBe(69);
  await using client = await network.app("app-b1").connectAk();
  expect(plain(await akFetch(client, "app-a1", ids))).toEqual(plain([...before, ...after]));
});
