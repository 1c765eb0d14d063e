// The routes that the QKDN controller has set: checked, durable, back after a restart.

import { describe, expect, test } from "vitest";
import { type KmId, kmId, linkId } from "../../../src/core/ids.ts";
import type { Route, TopologyLink } from "../../../src/keys/routes/routes.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { until } from "../../support/until.ts";
import { POLICY } from "../support/network.ts";
import { TestNode } from "../support/node.ts";

const links = (...sharedPeers: readonly string[]): TopologyLink[] =>
  sharedPeers.map((pair) => {
    const [a = "", b = ""] = pair.split(" ");
    return { id: linkId(pair.replaceAll("km-", "").replace(" ", "")), kms: [kmId(a), kmId(b)], cost: 1 };
  });

/** km-a ══ km-b ══ km-d, km-a ══ km-c ══ km-d, and km-e behind km-d. */
const DIAMOND = links("km-a km-b", "km-a km-c", "km-b km-d", "km-c km-d", "km-d km-e");
const KM_D = kmId("km-d");
const OVER_C: Route = [kmId("km-c")];
const OVER_B: Route = [kmId("km-b")];

function node(topology = DIAMOND, wanted?: ReadonlyMap<KmId, number>): TestNode {
  const peers = ["km-b", "km-c", "km-d", "km-e"].map(kmId);
  const paths = wanted ?? new Map<KmId, number>();
  const settings = { id: kmId("km-a"), policy: POLICY, apps: [], links: [], peers, topology, paths };
  return new TestNode(new ManualClock(), settings);
}

/** Up, with nothing left to write. */
async function booted(wanted?: ReadonlyMap<KmId, number>): Promise<TestNode> {
  const one = node(DIAMOND, wanted);
  await one.boot();
  await until("the local stock is filled", () => one.parts.local.stock.size > 0);
  return one;
}

test("without a controller the topology decides", async () => {
  const { routeAdmin } = (await booted(new Map([[KM_D, 2]]))).km;
  expect(routeAdmin.destinations).toEqual(["km-b", "km-c", "km-d", "km-e"]);
  expect([routeAdmin.paths(KM_D), routeAdmin.paths(kmId("km-e"))]).toEqual([2, 1]);
  expect(routeAdmin.given(KM_D)).toBeUndefined();
  expect(routeAdmin.current(KM_D)).toEqual([OVER_B, OVER_C]);
  expect(routeAdmin.current(kmId("km-e"))).toEqual([["km-b", "km-d"]]);
});

describe("what is set", () => {
  test("is used at once, survives a restart, and is given back for good", async () => {
    const one = await booted();
    await one.km.routeAdmin.set(KM_D, [OVER_C, OVER_B]);
    await one.km.routeAdmin.set(kmId("km-b"), [[], ["km-c", "km-d"].map(kmId)]);
    expect(one.parts.routes.find(KM_D, 1)).toEqual([OVER_C]);
    one.crash();
    await one.boot();
    expect(one.km.routeAdmin.given(KM_D)).toEqual([OVER_C, OVER_B]);
    expect(one.km.routeAdmin.given(kmId("km-b"))).toEqual([[], ["km-c", "km-d"]]);
    expect(one.parts.routes.find(KM_D, 1)).toEqual([OVER_C]);
    await one.km.routeAdmin.giveBack(KM_D);
    expect(one.parts.routes.find(KM_D, 1)).toEqual([OVER_B]);
    one.crash();
    await one.boot();
    expect(one.km.routeAdmin.given(KM_D)).toBeUndefined();
  });

  test("replaces the whole of what was set before, in the order of the calls", async () => {
    const { routeAdmin } = (await booted()).km;
    await Promise.all([routeAdmin.set(KM_D, [OVER_C, OVER_B]), routeAdmin.set(KM_D, [OVER_B])]);
    expect(routeAdmin.given(KM_D)).toEqual([OVER_B]);
  });

  test("is not used when the store rejects it", async () => {
    const one = await booted();
    one.machine.fate = () => "rejected, lost";
    await expect(one.km.routeAdmin.set(KM_D, [OVER_C])).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(one.km.routeAdmin.given(KM_D)).toBeUndefined();
    one.machine.fate = () => "durable";
    one.vault.store("ready");
    await one.km.routeAdmin.set(KM_D, [OVER_B]);
    expect(one.km.routeAdmin.given(KM_D)).toEqual([OVER_B]);
  });

  test.each([
    ["crash, lost", undefined],
    ["crash, kept", [OVER_C]],
  ] as const)("is there or not after a %s, never half", async (fate, expected) => {
    const one = await booted();
    one.machine.fate = () => fate;
    void one.km.routeAdmin.set(KM_D, [OVER_C]);
    await until("the process has ended", () => one.crashed);
    one.crash();
    one.machine.fate = () => "durable";
    await one.boot();
    expect(one.km.routeAdmin.given(KM_D)).toEqual(expected);
  });

  test("is left out after a restart when it no longer fits the configuration, and the log says so", async () => {
    const one = await booted();
    await one.km.routeAdmin.set(KM_D, [OVER_C]);
    one.crash();
    one.settings = { ...one.settings, topology: links("km-a km-b", "km-b km-d", "km-d km-e") };
    await one.boot();
    expect(one.km.routeAdmin.given(KM_D)).toBeUndefined();
    expect(one.parts.routes.find(KM_D, 1)).toEqual([OVER_B]);
    const line = one.recorder.lines.find(({ fields }) => fields.event === "routes_dropped");
    expect(line?.fields).toMatchObject({ destination: "km-d", routes: "km-c" });
  });
});

describe("what is wrong is refused with the reason", () => {
  const route = (...kms: string[]) => kms.map(kmId);
  test.each([
    ["km-x", [OVER_B], "no [[peers]] entry of this KM names km-x"],
    ["km-a", [OVER_B], "no [[peers]] entry of this KM names km-a"],
    ["km-d", [], "routes must be 1 to 12, not 0"],
    ["km-d", Array.from({ length: 13 }, () => OVER_B), "routes must be 1 to 12, not 13"],
    ["km-d", [OVER_B, OVER_B], "the same route twice"],
    ["km-d", [OVER_B, route("km-z")], "routes[1]: no link of the topology leads to km-z"],
    ["km-d", [route("km-b", "km-a", "km-c")], "routes[0] has km-a twice"],
    ["km-d", [route("km-b", "km-d")], "routes[0] has km-d twice"],
    ["km-d", [route("km-b", "km-c", "km-b")], "routes[0] has km-b twice"],
    ["km-d", [[]], "routes[0]: the topology has no link between km-a and km-d"],
    ["km-d", [route("km-e")], "routes[0]: the topology has no link between km-a and km-e"],
    ["km-e", [route("km-b")], "routes[0]: the topology has no link between km-b and km-e"],
    ["km-d", [Array.from({ length: 65 }, () => kmId("km-b"))], "more than 64 KMs"],
  ])("to %s over %j", async (destination, routes, why) => {
    const { km, machine } = await booted();
    const before = machine.commits;
    await expect(km.routeAdmin.set(kmId(destination), routes)).rejects.toMatchObject({
      code: "MALFORMED_REQUEST",
      message: expect.stringContaining(why),
    });
    expect([machine.commits, km.routeAdmin.given(kmId(destination))]).toEqual([before, undefined]);
  });

  test("fewer that share no KM than the destination has paths", async () => {
    const { routeAdmin } = (await booted(new Map([[KM_D, 2]]))).km;
    await expect(routeAdmin.set(KM_D, [OVER_B])).rejects.toMatchObject({
      message: "routes must have 2 that share no KM, as paths says, not 1",
    });
    await routeAdmin.set(KM_D, [OVER_C, OVER_B]);
    expect(routeAdmin.current(KM_D)).toEqual([OVER_C, OVER_B]);
  });

  test("to give back what is no peer", async () => {
    const { routeAdmin } = (await booted()).km;
    await expect(routeAdmin.giveBack(kmId("km-x"))).rejects.toMatchObject({ code: "MALFORMED_REQUEST" });
  });
});
