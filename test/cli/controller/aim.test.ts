// Which routes a controller wants each KM to use.

import { expect, test } from "vitest";
import { aimOf, costOfLink, type Polled } from "../../../src/cli/controller/aim.ts";
import type { DestinationReport, LinkReport } from "../../../src/cli/controller/km-client.ts";
import { kmId, linkId } from "../../../src/core/ids.ts";
import { Topology } from "../../../src/core/topology/topology.ts";

const PAIRS = ["a b", "a c", "b d", "c d", "d e"];
const topology = new Topology(
  PAIRS.map((pair) => {
    const [a = "", b = ""] = pair.split(" ");
    return { id: linkId(a + b), kms: [kmId(a), kmId(b)], cost: 1 };
  }),
);
const KMS = ["a", "b", "c", "d", "e"];

const linkTold = (link: string, peer: string, more: Partial<LinkReport> = {}): LinkReport => ({
  ...{ link, peer, line: "up", module: null, agreement: "agreed", block_bytes: 4096, stored_blocks: 20 },
  ...{
    usable_blocks: 10,
    measured_bits_per_s: 1000,
    stated_bits_per_s: null,
    qber: null,
    pad_bytes_out: 0,
    pad_bytes_in: 0,
    alarms: [],
  },
  ...more,
});

const destinationTold = (km: string, paths: number): DestinationReport => ({
  ...{ km, reachable: true, connected: true, synchronised: true, stored_keys: 0, kma_keys: 0, held: 0, in_flight: 0 },
  ...{ waiting: 0, paths, decided_by: "topology", routes: [], relays_ready: 0, relays_failed: 0 },
});

/** What `km` says; `change` is of a link as it sees it. */
function polled(km: string, paths = 1, change: Readonly<Record<string, Partial<LinkReport>>> = {}): Polled {
  const links = topology.links.filter(({ kms }) => kms.includes(kmId(km)));
  return {
    id: km,
    links: links.map(({ id, kms }) => linkTold(id, kms.find((end) => end !== km) ?? "", change[id])),
    destinations: KMS.filter((other) => other !== km).map((other) => destinationTold(other, paths)),
  };
}

const routes = (all: readonly Polled[], from: string, to: string) =>
  aimOf(topology, all)
    .get(from)
    ?.get(to)
    ?.map((route) => route.join(" "));

test("the cheapest routes that share no KM, one more than keys need", () => {
  const all = KMS.map((km) => polled(km));
  expect(routes(all, "a", "d")).toEqual(["b", "c"]);
  expect(routes(all, "a", "b")).toEqual(["", "c d"]);
  expect(routes(all, "a", "e")).toEqual(["b d"]);
  expect(
    routes(
      KMS.map((km) => polled(km, 2)),
      "a",
      "d",
    ),
  ).toEqual(["b", "c"]);
});

test("a link that is dry at either end costs two hops more", () => {
  const dry = { bd: { usable_blocks: 3 } };
  expect(
    routes(
      KMS.map((km) => polled(km, 1, km === "d" ? dry : {})),
      "a",
      "d",
    ),
  ).toEqual(["c", "b"]);
});

test("a link that an end refuses, or that is down and empty, is not used; one that is down and has key is", () => {
  const one = (change: Partial<LinkReport>) => KMS.map((km) => polled(km, 1, km === "b" ? { ab: change } : {}));
  expect(routes(one({ agreement: "refused" }), "a", "d")).toEqual(["c"]);
  expect(routes(one({ line: "down", usable_blocks: 0 }), "a", "d")).toEqual(["c"]);
  expect(routes(one({ line: "down" }), "a", "d")).toEqual(["b", "c"]);
});

test("nothing goes over a KM that does not answer, but keys may go to it", () => {
  const all = KMS.filter((km) => km !== "b").map((km) => polled(km));
  expect(routes(all, "a", "d")).toEqual(["c"]);
  expect(routes(all, "a", "b")).toEqual(["", "c d"]);
  expect(aimOf(topology, all).has("b")).toBe(false);
  expect(
    routes(
      all.filter(({ id }) => id !== "d"),
      "a",
      "e",
    ),
  ).toEqual([]);
});

test("a link of which no end tells anything costs what the file says", () => {
  const [link] = topology.links;
  expect(link && costOfLink(link, [])).toBe(1);
});
