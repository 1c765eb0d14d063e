// Rounds of a controller against the real endpoint of a real key manager, over TLS.

import { createServer } from "node:net";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { goRound, type Mode } from "../../../src/cli/controller/round.ts";
import { kmId } from "../../../src/core/ids.ts";
import { Topology } from "../../../src/core/topology/topology.ts";
import { DIAMOND, node, type Opened, open, type Papers, papers } from "../../control/controller/controller-kit.ts";
import type { TestNode } from "../../keys/support/node.ts";
import { authority, forIdentity, material } from "../../support/certificates.ts";

const KM_D = kmId("km-d");
let own: Papers;
let km: TestNode;
let opened: Opened;
beforeAll(async () => {
  own = await papers();
});
beforeEach(async () => {
  km = await node();
  opened = await open(own, km);
});
afterEach(() => opened[Symbol.asyncDispose]());

async function round(
  mode: Mode,
  { tls = material(own.controller, own.servers), id = "km-a", port = opened.server.port } = {},
) {
  const kms = [{ id, url: `https://127.0.0.1:${port}` }];
  const { outcomes, silent } = await goRound({ kms, topology: new Topology(DIAMOND), tls }, mode);
  return { to: (to: string) => outcomes.find((one) => one.to === to)?.what, silent, outcomes };
}

test("a link of which the KM says that it is down and empty is not used, and what has no route stays as it is", async () => {
  const { to } = await round("set");
  expect([to("km-b"), to("km-d")]).toEqual(["set", "no route"]);
  expect(km.km.routeAdmin.given(KM_D)).toBeUndefined();
  expect(km.km.routeAdmin.given(kmId("km-b"))).toEqual([[]]);
});

test("what is set already is kept, what is looked at is not changed, what is given back is the topology's again", async () => {
  expect((await round("look")).to("km-b")).toBe("would be set");
  expect(km.km.routeAdmin.given(kmId("km-b"))).toBeUndefined();
  expect((await round("set")).to("km-b")).toBe("set");
  expect((await round("set")).to("km-b")).toBe("kept");
  expect((await round("give back")).to("km-b")).toBe("given back");
  expect((await round("give back")).to("km-b")).toBe("kept");
  expect(km.km.routeAdmin.given(kmId("km-b"))).toBeUndefined();
});

test("a KM that refuses is told of with its reason, and the others go on", async () => {
  km.machine.fate = () => "rejected, lost";
  const { outcomes } = await round("set");
  const failed = outcomes.filter((one) => one.failed);
  expect(failed.map(({ to, what }) => [to, what.split(":")[0]])).toEqual([["km-b", "STORE_UNAVAILABLE"]]);
});

test("a KM that is another than the file says, or that another authority signed, is sent nothing", async () => {
  const other = await round("set", { id: "km-b" });
  expect(other.silent.get("km-b")).toContain("is km-a, not km-b");
  const stranger = await authority("servers");
  const strange = await round("set", { tls: material(own.controller, stranger) });
  expect(strange.silent.get("km-a")).toMatch(/certificate|signature/);
  expect(opened.seen.count("controller_requests")).toBe(0);
});

test("a controller that the KM does not let in, and a KM that never answers, are told of as silent", async () => {
  const app = await forIdentity(own.controllers, "app", "app-a1");
  expect((await round("set", { tls: material(app, own.servers) })).silent.has("km-a")).toBe(true);
  const nobody = createServer((socket) => void socket.destroy());
  await new Promise<void>((resolve) => nobody.listen(0, "127.0.0.1", resolve));
  const address = nobody.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  expect((await round("set", { port })).silent.has("km-a")).toBe(true);
  await new Promise((resolve) => nobody.close(resolve));
});
