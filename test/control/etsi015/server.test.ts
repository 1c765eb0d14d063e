// ETSI GS QKD 015 over real TLS: every answer is held against the model, and against what the KM says of itself.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { uuidOf } from "../../../src/control/etsi015/names.ts";
import { type Etsi015Server, startEtsi015 } from "../../../src/control/etsi015/server.ts";
import type { PeerKind } from "../../../src/net/tls/identity.ts";
import type { TestNode } from "../../keys/support/node.ts";
import { type Credentials, forIdentity, material } from "../../support/certificates.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { node, type Papers, papers, stateOf } from "../controller/controller-kit.ts";
import { complaintsOf } from "./model.ts";

let own: Papers;
let km: TestNode;
let seen: Recorder;
let server: Etsi015Server;
beforeAll(async () => {
  own = await papers();
});
beforeEach(async () => {
  km = await node();
  server = await open(km);
});
afterEach(() => server[Symbol.asyncDispose]());

function open(of: TestNode | undefined): Promise<Etsi015Server> {
  seen = recorder();
  const options = { listen: { host: "127.0.0.1", port: 0 }, tls: material(own.km, own.controllers) };
  return startEtsi015(options, { state: stateOf(of), log: seen.log, meter: seen.meter });
}

const ROOT = "/restconf/data/etsi-qkd-sdn-node:qkd_node";

async function ask(path: string, { method = "GET", as = own.controller, accept = "application/yang-data+json" } = {}) {
  const asking = request({
    ...{ host: "127.0.0.1", port: server.port, path, method, agent: false, headers: { accept } },
    ...{ cert: as.certificate, key: as.key, ca: own.servers.pem },
  }).end();
  const [response]: IncomingMessage[] = await once(asking, "response");
  let text = "";
  for await (const chunk of response ?? []) text += chunk;
  return { status: response?.statusCode, headers: response?.headers ?? {}, text };
}

const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse((await ask(path)).text);

interface Told {
  readonly qkdn_id: string;
  readonly qkdn_status: string;
  readonly qkd_links: { readonly qkd_link: readonly Record<string, unknown>[] };
  readonly qkd_applications: { readonly qkd_app: readonly Record<string, unknown>[] };
  readonly qkd_interfaces: { readonly qkd_interface: readonly Record<string, unknown>[] };
}

const told = async (): Promise<Told> => (await json(ROOT))["etsi-qkd-sdn-node:qkd_node"] as Told;

describe("the node", () => {
  test("is as the model wants it, and says what the KM says", async () => {
    const { headers } = await ask(ROOT);
    expect(headers["content-type"]).toBe("application/yang-data+json");
    const qkd = await told();
    expect(complaintsOf(qkd)).toEqual([]);
    expect(qkd).toMatchObject({ qkdn_id: uuidOf("km", "km-a"), qkdn_status: "etsi-qkd-node-types:OPERATING" });
    const [ab, ac, ad] = qkd.qkd_links.qkd_link;
    expect(ab).toMatchObject({
      qkdl_id: uuidOf("link", "ab"),
      qkdl_type: "etsi-qkd-node-types:PHYS",
      qkdl_remote: { qkdn_id: uuidOf("km", "km-b") },
      qkdl_performance: { skr: 2000, phys_perf: [{ perf_type: "etsi-qkd-node-types:QBER", value: "0.0200" }] },
    });
    expect(ac).toMatchObject({ qkdl_performance: { phys_perf: [] } });
    expect(ad).toMatchObject({
      qkdl_type: "etsi-qkd-node-types:VIRT",
      qkdl_remote: { qkdn_id: uuidOf("km", "km-d") },
      virt_next_hop: [uuidOf("km", "km-b")],
    });
    expect(qkd.qkd_interfaces.qkd_interface.map(({ qkdi_id, qkdi_status }) => [qkdi_id, qkdi_status])).toEqual([
      [1, "etsi-qkd-node-types:ENABLED"],
      [2, "etsi-qkd-node-types:FAILED"],
    ]);
    const apps = qkd.qkd_applications.qkd_app.map(({ server_app_id, client_app_id }) => [server_app_id, client_app_id]);
    expect(apps).toContainEqual(["urn:qkm:app:app-a1", []]);
    expect(apps).toContainEqual(["urn:qkm:app:app-a1", ["urn:qkm:app:app-b1"]]);
  });

  test("before the key inventory is read is new, and as the model wants it", async () => {
    await using early = await open(undefined);
    const late = server;
    server = early;
    const qkd = await told();
    server = late;
    expect(complaintsOf(qkd)).toEqual([]);
    expect(qkd.qkdn_status).toBe("etsi-qkd-node-types:NEW");
    expect(qkd.qkd_links.qkd_link).toEqual([]);
  });

  test("has the same link under the same ID at both ends, and other IDs for other things of the same name", () => {
    expect(uuidOf("link", "ab")).toBe(uuidOf("link", "ab"));
    expect(new Set([uuidOf("link", "x"), uuidOf("km", "x"), uuidOf("app", "x"), uuidOf("virtual", "x")]).size).toBe(4);
  });
});

describe("a part of it", () => {
  test("is told by its path, an entry of a list as a list of one", async () => {
    const id = uuidOf("link", "ab");
    const whole = await told();
    expect(await json(`${ROOT}/qkd_links`)).toEqual({ "etsi-qkd-sdn-node:qkd_links": whole.qkd_links });
    const one = await json(`${ROOT}/qkd_links/qkd_link=${id}`);
    expect(one).toEqual({ "etsi-qkd-sdn-node:qkd_link": [whole.qkd_links.qkd_link[0]] });
    expect(await json(`${ROOT}/qkdn_id`)).toEqual({ "etsi-qkd-sdn-node:qkdn_id": whole.qkdn_id });
  });

  test.each([
    `${ROOT}/nothing`,
    `${ROOT}/qkd_links/qkd_link=x`,
    `${ROOT}/qkdn_id=1`,
    `${ROOT}/constructor`,
    "/restconf/data/other:x",
    "/",
  ])("%s is not there, and the answer says so as RESTCONF wants it", async (path) => {
    const { status, text } = await ask(path);
    expect(status).toBe(404);
    expect(JSON.parse(text)["ietf-restconf:errors"].error[0]["error-tag"]).toBe("invalid-value");
  });
});

test("RFC 8040 3.1: a client finds the root, and the version of the YANG library", async () => {
  expect((await ask("/.well-known/host-meta", { accept: "application/xrd+xml" })).text).toContain('href="/restconf"');
  expect(Object.keys(await json("/restconf"))).toEqual(["ietf-restconf:restconf"]);
});

test.each(["POST", "PUT", "PATCH", "DELETE"])("%s is refused: the node is read only", async (method) => {
  const { status, headers } = await ask(ROOT, { method });
  expect([status, headers.allow]).toEqual([405, "GET, HEAD, OPTIONS"]);
});

test("HEAD has no body, XML is not given, a query is refused", async () => {
  expect(await ask(ROOT, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
  expect((await ask(ROOT, { accept: "application/yang-data+xml" })).status).toBe(406);
  expect((await ask(`${ROOT}?depth=1`)).status).toBe(400);
});

test.each<PeerKind>(["app", "km", "monitor"])("the certificate of a %s opens nothing here", async (kind) => {
  const stranger: Credentials = await forIdentity(own.controllers, kind, "x");
  await expect(ask(ROOT, { as: stranger })).rejects.toThrow();
  await until("the refusal is counted", () => seen.count("connections_refused", { door: "etsi015" }) === 1);
});
