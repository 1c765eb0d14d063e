// Over which KMs keys travel: what the controller has set, else what the topology has.

import { describe, expect, test, vi } from "vitest";
import { type KmId, kmId, linkId } from "../../../src/core/ids.ts";
import { type Route, Routes, type TopologyLink } from "../../../src/keys/routes/routes.ts";

/** `a-b` is a link between the two. */
function topology(...links: readonly string[]): TopologyLink[] {
  return links.map((text, number) => {
    const [pair = "", cost = "1"] = text.split(":");
    const [a = "", b = ""] = pair.split("-");
    return { id: linkId(`${pair}.${number}`), kms: [kmId(a), kmId(b)], cost: Number(cost) };
  });
}

const A = kmId("a");
const routes = (...links: readonly string[]) => new Routes(A, topology(...links));
const text = (found: readonly Route[]) => found.map((route) => route.join(" "));

test("whether a KM can be reached is asked with every scrape of the metrics, and looked up in the topology once", () => {
  const found = routes("a-b", "b-z", "x-y");
  const search = vi.spyOn(found.topology, "routes");
  for (let scrape = 0; scrape < 3; scrape++) {
    expect(["b", "z", "y"].map((id) => found.reaches(kmId(id)))).toEqual([true, true, false]);
  }
  expect(search).toHaveBeenCalledTimes(3);
  found.set(kmId("y"), [[kmId("b")]]);
  expect(found.reaches(kmId("y"))).toBe(found.find(kmId("y"), 1).length > 0);
  found.set(kmId("y"), undefined);
  expect(found.reaches(kmId("y"))).toBe(false);
});

describe("routes from the controller", () => {
  const Z = kmId("z");
  const net = () => routes("a-b", "b-z", "a-c", "c-z", "a-d", "d-z");
  const set = (of: Routes, ...given: string[]) =>
    of.set(
      Z,
      given.map((route) => route.split(" ").map(kmId)),
    );

  test("they go before the topology, in order of priority, until they are given back", () => {
    const found = net();
    set(found, "d", "c b");
    expect(text(found.find(Z, 1))).toEqual(["d"]);
    expect(text(found.find(Z, 3))).toEqual(["d", "c b"]);
    expect(text(found.find(kmId("b"), 1))).toEqual([""]);
    expect(found.given(Z)).toHaveLength(2);
    found.set(Z, undefined);
    expect(text(found.find(Z, 1))).toEqual(["b"]);
    expect(found.given(Z)).toBeUndefined();
  });

  test("one with a hop to avoid is passed over, and no other is made up", () => {
    const found = net();
    set(found, "d", "c");
    const avoid = (...hops: string[]) => ({ avoid: (from: KmId, to: KmId) => hops.includes(`${from}-${to}`) });
    expect(text(found.find(Z, 1, avoid("d-z")))).toEqual(["c"]);
    expect(found.find(Z, 1, avoid("d-z", "a-c"))).toEqual([]);
  });

  test("one over a link that cannot be used is passed over, one over a dry link comes after those that are not", () => {
    const found = net();
    set(found, "b", "c", "d");
    const cost = (extra: Readonly<Record<string, number>>) => ({
      costOf: ({ kms }: TopologyLink) => extra[kms.join("-")] ?? 0,
    });
    expect(text(found.find(Z, 1, cost({ "a-b": Number.POSITIVE_INFINITY })))).toEqual(["c"]);
    expect(text(found.find(Z, 3, cost({ "a-b": 2 })))).toEqual(["c", "d", "b"]);
    expect(text(found.find(Z, 2, cost({ "a-b": 2, "a-c": 2, "d-z": 1000 })))).toEqual(["b", "c"]);
  });

  test("of routes that share KMs, a set of disjoint ones is chosen by priority", () => {
    const found = net();
    set(found, "b c", "b", "c", "d");
    expect(text(found.find(Z, 1))).toEqual(["b c"]);
    expect(text(found.find(Z, 2))).toEqual(["b c", "d"]);
    expect(text(found.find(Z, 3))).toEqual(["b", "c", "d"]);
  });

  test("how many there could be is asked of the topology", () => {
    const found = net();
    set(found, "b");
    expect([found.disjoint(Z), found.disjoint(Z), found.disjoint(kmId("y"))]).toEqual([3, 3, 0]);
  });
});
