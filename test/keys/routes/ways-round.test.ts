// Routes as relays choose them (design 5): around what failed, by the stock of own links, back when it works again.

import { describe, expect, test } from "vitest";
import type { KmId } from "../../../src/core/ids.ts";
import { ask } from "../support/apps.ts";
import { asked, exchanged } from "../support/exchange.ts";
import { DIAMOND, LINE_3, Mesh, RING_4 } from "../support/mesh.ts";
import { expectPadsOnce, offersIn } from "../support/pads.ts";

const ON_DEMAND = { stockLow: 0, stockHigh: 1 };

/** The routes of all keys that one node sent to another, as text, in order. */
const routesOf = (mesh: Mesh, from: string, to: string): string[] =>
  offersIn(mesh)
    .filter(({ protection, source, destination }) => {
      return protection.scheme === "link" && source === mesh.node(from).id && destination === mesh.node(to).id;
    })
    .map(({ transit }) => transit.join(" "));

describe("a diamond with two ways from km-a to km-d", () => {
  test("a transit KM that is dead: another way at once", async () => {
    const mesh = await Mesh.up({ links: DIAMOND, blocks: 30, policy: ON_DEMAND });
    await exchanged(mesh, "a", "d", 3);
    const [first] = routesOf(mesh, "a", "d");
    mesh.crash(first === "km-b" ? "b" : "c");
    for (let round = 0; round < 3; round++) await exchanged(mesh, "a", "d", 60);
    const other = first === "km-b" ? "km-c" : "km-b";
    expect(new Set(routesOf(mesh, "a", "d").slice(1))).toEqual(new Set([other]));
    expectPadsOnce(mesh);
  });

  test("a hop behind it that swallows everything: one key is lost, the next takes the other way", async () => {
    const mesh = await Mesh.up({ links: DIAMOND, blocks: 30, policy: ON_DEMAND });
    mesh.wire("b", "d").lose = ({ kind }) => kind === "relay";
    mesh.wire("b", "d").log.length = 0;
    const request = await asked(mesh, "a", "d");
    await mesh.run(2500);
    expect(request.outcome).toBe("granted");
    expect(routesOf(mesh, "a", "d")).toEqual(["km-b", "km-c"]);
    const [lost, ready] = mesh.node("a").parts.context.relayLog.after(0);
    expect([lost?.outcome, lost?.failedAt, ready?.outcome]).toEqual(["RELAY_TIMEOUT", "km-d", "ready"]);
    expectPadsOnce(mesh);
  });

  test("a hop that failed is tried again, each time later, and taken again when it works", async () => {
    const mesh = await Mesh.up({ links: LINE_3, blocks: 60, policy: { ...ON_DEMAND, timeoutMs: 120_000 } });
    mesh.wire("b", "c").lose = ({ kind }) => kind === "relay";
    const request = await asked(mesh, "a", "c");
    const tries: number[] = [];
    for (let second = 0; second < 40; second++) {
      tries.push(routesOf(mesh, "a", "c").length);
      await mesh.run(1000);
    }
    expect([tries[1], tries[5], tries[12], tries[25], tries[39]]).toEqual([1, 3, 4, 5, 6]);
    mesh.wire("b", "c").lose = () => false;
    await mesh.run(40_000);
    expect(request.outcome).toBe("granted");
  });

  test("a link without key: the keys go the other way while its module is silent", async () => {
    const mesh = await Mesh.up({ links: DIAMOND, blocks: 0, policy: ON_DEMAND });
    for (const id of ["ac", "cd", "bd"]) mesh.modules(id).make(20);
    await mesh.run(500);
    await exchanged(mesh, "a", "d");
    expect(routesOf(mesh, "a", "d")).toEqual(["km-c"]);
  });
});

describe("a ring", () => {
  test("neighbours whose link brings nothing get their keys the other way round", async () => {
    const mesh = await Mesh.up({ links: RING_4, blocks: 0, policy: ON_DEMAND });
    for (const id of ["bc", "cd", "da"]) mesh.modules(id).make(40);
    await mesh.run(500);
    await exchanged(mesh, "a", "b");
    expect(routesOf(mesh, "a", "b")).toEqual(["km-d km-c"]);
    expect(mesh.peer("a", "b").stock.keys()[0]?.route).toBe("relayed");
    expectPadsOnce(mesh);
  });

  test("under load in all directions at once every pair is served", async () => {
    const mesh = await Mesh.up({ links: RING_4, blocks: 60, policy: { stockLow: 1, stockHigh: 2 } });
    for (const [from, to] of ["ab", "ac", "ad", "ba", "bd", "ca", "cb", "db", "dc"].map((pair) => [...pair])) {
      if (from !== undefined && to !== undefined) await exchanged(mesh, from, to, 10);
      mesh.make(2);
    }
    expectPadsOnce(mesh);
  });
});

describe("routes from the controller", () => {
  test("go before the topology for the keys that begin afterwards; what is under way is not disturbed", async () => {
    const mesh = await Mesh.up({ links: DIAMOND, blocks: 30, policy: { stockLow: 4, stockHigh: 4 } });
    await mesh.run(500);
    const before = routesOf(mesh, "a", "d");
    expect(before).toEqual(before.map(() => "km-b"));
    for (const wire of mesh.wires) wire.delayMs = 50;
    const first = ask(mesh.node("a").km, { app: "app-a", to: "app-d", bits: 24_000, count: 2 });
    await mesh.run(20);
    mesh.node("a").parts.routes.set("km-d" as KmId, [["km-c" as KmId]]);
    await mesh.run(500);
    for (let round = 0; round < 4; round++) {
      ask(mesh.node("a").km, { app: "app-a", to: "app-d", bits: 24_000, count: 2 });
      await mesh.run(500);
    }
    expect(first.outcome).toBe("granted");
    expect(routesOf(mesh, "a", "d").at(-1)).toBe("km-c");
    expect(mesh.node("a").recorder.count("kma_keys_ended", { reason: "given_up" })).toBe(0);
  });
});

test("a request that waits in vain is told which hop failed, and how", async () => {
  const mesh = await Mesh.up({ links: LINE_3, blocks: 30, policy: ON_DEMAND });
  mesh.wire("b", "c").cut();
  const request = await asked(mesh, "a", "c");
  await mesh.run(6000);
  expect(request.fault?.code).toBe("NO_ROUTE");
  expect(request.fault?.message).toMatch(
    /^no route to km-c works; the last key relay failed at km-c: PEER_UNAVAILABLE/,
  );
});

test("design 5: a destination that is full is left alone on every route, others are not", async () => {
  const mesh = new Mesh({ links: DIAMOND, policy: { stockLow: 0, stockHigh: 3 } });
  const d = mesh.node("d");
  d.settings = { ...d.settings, policy: { ...d.settings.policy, maxHeld: 1 } };
  for (const node of mesh.nodes.values()) await node.boot();
  mesh.connect();
  mesh.make(40);
  await mesh.run(500);
  const request = ask(mesh.node("a").km, { app: "app-a", to: "app-d", bits: 24_000, count: 2 });
  await mesh.run(4000);
  expect(request.outcome).toBeUndefined();
  const refused = mesh.node("a").recorder.count("relays_refused", { fault: "STORE_FULL" });
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThan(5);
  await exchanged(mesh, "a", "b");
});
