// The graph of the network: cheapest routes that share no KM.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareIds, type KmId, kmId, linkId } from "../../../src/core/ids.ts";
import { type Route, type RouteView, Topology, type TopologyLink } from "../../../src/core/topology/topology.ts";
import { processorMs } from "../../support/processor.ts";

/** `a-b` costs 1, `a-b:3` costs 3. */
function topology(...links: readonly string[]): TopologyLink[] {
  return links.map((text, number) => {
    const [pair = "", cost = "1"] = text.split(":");
    const [a = "", b = ""] = pair.split("-");
    return { id: linkId(`${pair}.${number}`), kms: [kmId(a), kmId(b)], cost: Number(cost) };
  });
}

const A = kmId("a");
const text = (found: readonly Route[]) => found.map((route) => route.join(" "));

/** A graph as km `a` sees it. */
function routes(...links: readonly string[]) {
  const graph = new Topology(topology(...links));
  return {
    find: (to: KmId, paths: number, view?: RouteView) => graph.routes(A, to, paths, view),
    disjoint: (to: KmId) => graph.disjoint(A, to),
  };
}

/** The links between two KMs, cheapest first. */
const hopCost = (links: readonly TopologyLink[], from: KmId, to: KmId): number =>
  Math.min(...links.filter(({ kms }) => kms.includes(from) && kms.includes(to)).map(({ cost }) => cost));

const routeCost = (links: readonly TopologyLink[], stops: readonly KmId[]): number =>
  stops.slice(1).reduce((sum, to, at) => sum + hopCost(links, stops[at] ?? to, to), 0);

/** Every route without a loop. */
function allRoutes(links: readonly TopologyLink[], from: KmId, to: KmId, behind: readonly KmId[] = []): Route[] {
  const next = new Set(links.flatMap(({ kms: [a, b] }) => (a === from ? [b] : b === from ? [a] : [])));
  return [...next].flatMap((km) => {
    if (km === to) return [behind];
    return behind.includes(km) || km === A ? [] : allRoutes(links, km, to, [...behind, km]);
  });
}

const areDisjoint = (a: Route, b: Route) => !(a.length === 0 && b.length === 0) && !a.some((km) => b.includes(km));

/** The least sum of the costs of so many disjoint routes; undefined when there are not so many. */
function leastSum(costs: readonly { route: Route; cost: number }[], paths: number): number | undefined {
  if (paths === 0) return 0;
  const sums = costs.flatMap(({ route, cost }, at) => {
    const rest = costs.slice(at + 1).filter((other) => areDisjoint(route, other.route));
    const sum = leastSum(rest, paths - 1);
    return sum === undefined ? [] : [cost + sum];
  });
  return sums.length === 0 ? undefined : Math.min(...sums);
}

const KMS = ["a", "b", "c", "d", "e", "f", "g"].map(kmId);
const anyTopology = fc
  .array(fc.tuple(fc.nat(6), fc.nat(6), fc.integer({ min: 0, max: 4 })), { maxLength: 16 })
  .map((links) => links.filter(([a, b]) => a !== b).map(([a, b, cost]) => `${KMS[a]}-${KMS[b]}:${cost}`))
  .map((links) => topology(...links));

describe("routes from the topology", () => {
  test("a neighbour needs no KM between, what no link leads to has no route, and nobody has one to itself", () => {
    const found = routes("a-b", "b-c", "d-e");
    expect(text(found.find(kmId("b"), 1))).toEqual([""]);
    expect(text(found.find(kmId("c"), 1))).toEqual(["b"]);
    expect([kmId("d"), kmId("z"), A].map((km) => found.find(km, 2))).toEqual([[], [], []]);
    expect([kmId("c"), kmId("d"), kmId("z")].map((km) => found.disjoint(km))).toEqual([1, 0, 0]);
  });

  test("the cheapest wins, of equals the one with fewer hops, of those the one whose IDs sort first", () => {
    expect(text(routes("a-b", "b-z", "a-z:3").find(kmId("z"), 1))).toEqual(["b"]);
    expect(text(routes("a-b", "b-z", "a-z:2").find(kmId("z"), 1))).toEqual([""]);
    expect(text(routes("a-d", "d-z", "a-c", "c-z").find(kmId("z"), 2))).toEqual(["c", "d"]);
  });

  test("of several links between two KMs the cheapest counts, and they make one route", () => {
    const found = routes("a-z:5", "a-z:1", "a-b", "b-z");
    expect(text(found.find(kmId("z"), 3))).toEqual(["", "b"]);
  });

  test("two disjoint routes are found where the cheapest single one stands in the way", () => {
    const trap = routes("a-b:1", "b-c:1", "c-z:1", "a-d:2", "d-c:2", "b-e:2", "e-z:2");
    expect(text(trap.find(kmId("z"), 1))).toEqual(["b c"]);
    expect(text(trap.find(kmId("z"), 2))).toEqual(["b e", "d c"]);
    expect([trap.disjoint(kmId("z")), trap.find(kmId("z"), 3).length]).toEqual([2, 2]);
  });

  test("a dry link costs more, an infinite one is left out, a hop to avoid only in its direction", () => {
    const found = routes("a-b", "b-z", "a-c:2", "c-z:2");
    const cost = (extra: number) => ({ costOf: (link: TopologyLink) => (link.kms.includes(kmId("b")) ? extra : 0) });
    expect(text(found.find(kmId("z"), 1, cost(0.5)))).toEqual(["b"]);
    expect(text(found.find(kmId("z"), 1, cost(1.5)))).toEqual(["c"]);
    expect(text(found.find(kmId("z"), 2, cost(Number.POSITIVE_INFINITY)))).toEqual(["c"]);
    const avoid = (x: string, y: string) => ({ avoid: (from: KmId, to: KmId) => from === x && to === y });
    expect(text(found.find(kmId("z"), 1, avoid("b", "z")))).toEqual(["c"]);
    expect(text(found.find(kmId("z"), 1, avoid("z", "b")))).toEqual(["b"]);
  });

  test("costs below 0, and links of a KM with itself, are refused", () => {
    expect(() => routes("a-b:-1")).toThrow("link a-b");
    expect(() => routes("a-a")).toThrow("between a and a");
    expect(() => routes("a-b").find(kmId("b"), 1, { costOf: () => -1 })).toThrow(RangeError);
  });

  test("on any small network: disjoint, loopless, cheapest in sum, and as many as there are", () => {
    fc.assert(
      fc.property(anyTopology, fc.integer({ min: 1, max: 4 }), (links, paths) => {
        const target = kmId("g");
        const found = new Topology(links).routes(A, target, paths);
        const all = allRoutes(links, A, target).map((route) => ({
          route,
          cost: routeCost(links, [A, ...route, target]),
        }));
        const costs = found.map((route) => routeCost(links, [A, ...route, target]));
        for (const [at, route] of found.entries()) {
          expect(all.map((one) => one.route)).toContainEqual(route);
          for (const other of found.slice(at + 1)) expect(areDisjoint(route, other)).toBe(true);
        }
        expect(costs).toEqual(costs.toSorted((a, b) => a - b));
        expect(costs.reduce((sum, cost) => sum + cost, 0)).toBe(leastSum(all, found.length));
        if (found.length < paths) expect(leastSum(all, found.length + 1)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test("the order in which links are written changes nothing", () => {
    fc.assert(
      fc.property(anyTopology, fc.integer({ min: 1, max: 3 }), (links, paths) => {
        const turned = links.toReversed().map((link) => ({ ...link, kms: [link.kms[1], link.kms[0]] as const }));
        const find = (list: readonly TopologyLink[]) => KMS.map((km) => new Topology(list).routes(A, km, paths));
        expect(find(turned)).toEqual(find(links));
      }),
    );
  });

  test("a node of 1,000 finds its routes to all others in under a second of its processor", () => {
    const names = Array.from({ length: 1000 }, (_, number) => `n${String(number).padStart(4, "0")}`);
    let state = 1;
    const random = (below: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const links = names.flatMap((name, number) =>
      number === 0 ? [] : [`${name}-${names[random(number)]}`, `${name}-${names[random(number)]}`],
    );
    const net = new Topology(topology(...links));
    const self = kmId("n0000");
    let found: ReturnType<Topology["routes"]>[] = [];
    const ms = processorMs(() => {
      found = net.kms.filter((km) => km !== self).map((km) => net.routes(self, km, 1));
    });
    expect(found.every((list) => list.length === 1)).toBe(true);
    expect(Math.max(...found.map(([route]) => route?.length ?? 0))).toBeGreaterThan(3);
    expect(ms).toBeLessThan(1000);
  });
});

test("KMs are in the bytewise order of their IDs, and neighbours are known in both directions", () => {
  const graph = new Topology(topology("b-z", "a-b", "a-B"));
  expect(graph.kms).toEqual(["B", "a", "b", "z"].map(kmId));
  expect(graph.kms).toEqual(graph.kms.toSorted(compareIds));
  expect([graph.has(kmId("z")), graph.has(kmId("y"))]).toEqual([true, false]);
  expect([
    graph.areNeighbours(A, kmId("b")),
    graph.areNeighbours(kmId("b"), A),
    graph.areNeighbours(A, kmId("z")),
  ]).toEqual([true, true, false]);
});
