// `qkm view` against the real endpoint of a real key manager: what it shows, a KM that moves, a port that is taken.

import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Domain } from "../../../src/cli/controller/domain.ts";
import { openView } from "../../../src/cli/view/open.ts";
import { Topology } from "../../../src/core/topology/topology.ts";
import type { ViewServer } from "../../../src/view/server.ts";
import { DIAMOND, node, type Opened, open, type Papers, papers } from "../../control/controller/controller-kit.ts";
import { material } from "../../support/certificates.ts";
import { until } from "../../support/until.ts";
import { eventually } from "../../system/support/eventually.ts";

let own: Papers;
beforeAll(async () => {
  own = await papers();
});

let parts: AsyncDisposableStack;
beforeEach(() => {
  parts = new AsyncDisposableStack();
});
afterEach(() => parts.disposeAsync());

const endpoint = async (): Promise<Opened> => parts.use(await open(own, await node()));

/** km-a at that endpoint, and three KMs that are nowhere. */
const domainOf = (at: Opened): Domain => ({
  kms: ["km-a", "km-b", "km-c", "km-d"].map((id) => ({
    id,
    url: `https://127.0.0.1:${id === "km-a" ? at.server.port : 1}`,
  })),
  topology: new Topology(DIAMOND),
  tls: material(own.controller, own.servers),
});

/** Asks the page's own questions, as a browser that came by the link. */
async function browser({ link }: ViewServer): Promise<(path: string) => Promise<unknown>> {
  const entered = await fetch(link);
  const cookie = (entered.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
  return async (path) => (await fetch(new URL(path, link), { headers: { cookie } })).json();
}

const facts = (detail: unknown): string => JSON.stringify((detail as { facts?: unknown } | undefined)?.facts);

test("a KM is shown as it tells of itself, those that are nowhere as silent, and it is followed to another address", async () => {
  const first = await endpoint();
  let now = domainOf(first);
  const view = parts.use(await openView(now, { port: 0, again: () => now }));
  const ask = await browser(view);
  const shows = (text: string): Promise<void> =>
    eventually(`it shows ${text}`, async () => facts(await ask("/api/detail?of=km:km-a")).includes(text));
  await shows("qkm 1.2.3 on host");
  expect(facts(await ask("/api/detail?of=km:km-b"))).toContain("does not answer: ");
  await first[Symbol.asyncDispose]();
  await shows("does not answer");
  const second = await endpoint();
  now = domainOf(second);
  await shows("qkm 1.2.3 on host");
  expect(second.seen.count("controller_requests", { method: "GET", status: "200" })).toBeGreaterThan(0);
});

test("it asks by GET alone", async () => {
  const at = await endpoint();
  parts.use(await openView(domainOf(at), { port: 0 }));
  await until("it was asked", () => at.seen.count("controller_requests") > 1);
  expect(at.seen.count("controller_requests", { method: "GET" })).toBe(at.seen.count("controller_requests"));
});

test("a port that is taken is told with its number", async () => {
  const at = await endpoint();
  const view = parts.use(await openView(domainOf(at), { port: 0 }));
  await expect(openView(domainOf(at), { port: view.port })).rejects.toThrow(`127.0.0.1:${view.port}`);
});
