// A QKDN controller over a diamond of real KMs: it sets routes, keys go by them, and no request is disturbed.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Domain } from "../../src/cli/controller/domain.ts";
import { KmClient } from "../../src/cli/controller/km-client.ts";
import { goRound } from "../../src/cli/controller/round.ts";
import { authorityFiles, CONTROLLER, controllerFiles, networkPlaces } from "../../src/cli/provision/plan.ts";
import { kmId } from "../../src/core/ids.ts";
import { Topology } from "../../src/core/topology/topology.ts";
import { eventually } from "./support/eventually.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { Oracle } from "./support/oracle.ts";
import { padsOf, usedTwice } from "./support/pads.ts";
import { diamond } from "./support/shapes.ts";
import { Traffic } from "./support/traffic.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 300_000 });

let network: Network;
beforeAll(async () => {
  network = await startNetwork({ ...diamond(), controller: true });
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

function domain(): Domain {
  const places = networkPlaces(network.dir);
  const own = controllerFiles(places.controllers, CONTROLLER);
  const trust = authorityFiles(places.authorities, "km_servers").cert;
  const [certificate, key, ca] = [own.cert, own.key, trust].map((path) => readFileSync(path, "utf8"));
  const kms = network.kms.map(({ id, config }) => {
    const { host, port } = config.controller?.listen ?? { host: "", port: 0 };
    return { id, url: `https://${host}:${port}` };
  });
  const topology = new Topology(network.km("km-a").config.topology);
  return { kms, topology, tls: { certificate: `${certificate}`, key: `${key}`, trust: `${ca}` } };
}

function client(km: string): KmClient {
  const { kms, tls } = domain();
  const found = kms.find(({ id }) => id === km);
  if (found === undefined) throw new Error(`no ${km}`);
  return new KmClient(found, tls);
}

/** The KMs between on the last relay from km-a to km-d that succeeded. */
async function lastTransit(): Promise<readonly string[] | undefined> {
  using kmA = client("km-a");
  const relays = await kmA.relays();
  return relays.findLast(({ destination, outcome }) => destination === "km-d" && outcome === "ready")?.transit;
}

/** Keys both ways between app-a and app-d until a condition holds; every one has to be the same at both ends. */
async function exchangeUntil(what: string, condition: () => Promise<boolean>): Promise<void> {
  const traffic = new Traffic(network, new Oracle());
  await eventually(what, async () => {
    const { toOne, toOther } = await traffic.bothWays("app-a", "app-d");
    await traffic.fetch([...toOne, ...toOther]);
    expect(traffic.oracle.violations).toEqual([]);
    return await condition();
  });
}

test("routes are set while keys are supplied, relays go by them, and a KM that was killed still has them", async () => {
  using kmA = client("km-a");
  for (const via of ["km-c", "km-b", "km-c"]) {
    await Promise.all([
      kmA.set("km-d", [[kmId(via)]]),
      exchangeUntil(`a relay goes over ${via}`, async () => (await lastTransit())?.join() === via),
    ]);
  }
  await network.km("km-a").kill();
  await network.km("km-a").start();
  await network.stocked();
  using again = client("km-a");
  expect(await again.given("km-d")).toEqual([["km-c"]]);
  await exchangeUntil("a relay goes over km-c", async () => (await lastTransit())?.join() === "km-c");
  expect(usedTwice(padsOf(network.kms))).toEqual([]);
});

test("rounds of the controller lead around a KM that is gone, and back over it when it is there again", async () => {
  expect((await goRound(domain(), "set")).silent.size).toBe(0);
  using kmA = client("km-a");
  expect((await kmA.given("km-d"))?.map((route) => route.join()).toSorted()).toEqual(["km-b", "km-c"]);
  await network.km("km-b").kill();
  const round = await goRound(domain(), "set");
  expect([...round.silent.keys()]).toEqual(["km-b"]);
  expect(await kmA.given("km-d")).toEqual([["km-c"]]);
  await exchangeUntil("a relay goes over km-c", async () => (await lastTransit())?.join() === "km-c");
  await network.km("km-b").start();
  await eventually("both routes are set again", async () => {
    await goRound(domain(), "set");
    return (await kmA.given("km-d"))?.length === 2;
  });
  await goRound(domain(), "give back");
  expect(await kmA.given("km-d")).toBeUndefined();
});
