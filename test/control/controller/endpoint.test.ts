// The QKDN controller's endpoint over real TLS: who gets in, what is told, what is set, what is refused.

import { once } from "node:events";
import { connect } from "node:tls";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { nodeAnswer } from "../../../src/control/controller/answers.ts";
import { RESOURCES } from "../../../src/control/controller/resources.ts";
import type { ClusterReport } from "../../../src/control/status.ts";
import { kmId } from "../../../src/core/ids.ts";
import type { PeerKind } from "../../../src/net/tls/identity.ts";
import { listenTls } from "../../../src/net/tls-listener.ts";
import type { TestNode } from "../../keys/support/node.ts";
import { authority, type Credentials, forIdentity, material } from "../../support/certificates.ts";
import { recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { type Asked, ask, node, type Opened, open, type Papers, papers, stateOf } from "./controller-kit.ts";

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

const get = (path: string) => ask(own, opened, path);
const send = (path: string, asked: Asked) => ask(own, opened, path, asked);
const over = (...routes: string[]) => ({
  routes: routes.map((kms) => ({ transit: kms === "" ? [] : kms.split(" ") })),
});

describe("who gets in", () => {
  /** Why a certificate is refused at the endpoint. */
  async function refusal(as: Credentials): Promise<unknown> {
    await expect(send("node", { as })).rejects.toThrow();
    await until("the refusal is counted", () => opened.seen.count("connections_refused") > 0);
    return opened.seen.lines.find(({ fields }) => fields.event === "connection_refused")?.fields.reason;
  }

  test("a controller whose certificate the trust anchor signed, and its name is in the log", async () => {
    expect((await get("node")).status).toBe(200);
    const fields = opened.seen.lines.find(({ fields: { event } }) => event === "connection_opened")?.fields;
    expect(fields).toMatchObject({ door: "controller", id: "controller-1" });
  });

  test.each<[PeerKind, string]>([
    ["app", "app-a1"],
    ["km", "km-b"],
  ])("no %s, not even if the controllers' authority had signed it", async (kind, id) => {
    expect(await refusal(await forIdentity(own.controllers, kind, id))).toBe("identity");
  });

  test("no controller that another authority signed", async () => {
    const apps = await authority("apps");
    expect(await refusal(await forIdentity(apps, "controller", "controller-1"))).toBe("unknown_ca");
  });

  test("nobody with two identities", async () => {
    const uris = ["urn:qkm:controller:controller-1", "urn:qkm:app:app-a1"];
    expect(await refusal(await own.controllers.issue({ uris }))).toBe("identity");
  });

  test.each<PeerKind>(["app", "km"])("and a controller's certificate opens no door for a %s", async (kind) => {
    const seen = recorder();
    const admitted: string[] = [];
    const tls = material(own.km, own.controllers);
    await using door = await listenTls(
      { host: "127.0.0.1", port: 0, door: "ak", kind, tls, groups: ["X25519"], maxConnections: 4 },
      { ...seen, admit: () => undefined },
      (_, { id }) => void admitted.push(id),
    );
    const { certificate: cert, key } = own.controller;
    const socket = connect({ host: "127.0.0.1", port: door.port, cert, key, ca: own.servers.pem });
    // `once` of node:events rejects with the alert that says why.
    await expect(once(socket.resume(), "close")).rejects.toThrow("alert");
    expect(admitted).toEqual([]);
    expect(seen.count("connections_refused", { reason: "identity" })).toBe(1);
  });
});

test("more connections than the endpoint takes are refused, and those that are open go on", async () => {
  const { certificate: cert, key } = own.controller;
  const dial = () => {
    const socket = connect({ host: "127.0.0.1", port: opened.server.port, cert, key, ca: own.servers.pem });
    return socket.on("error", () => {});
  };
  const allowed = Array.from({ length: 16 }, dial);
  await Promise.all(allowed.map((socket) => once(socket, "secureConnect")));
  await new Promise((resolve) => dial().once("close", resolve));
  expect(opened.seen.count("connections_refused", { door: "controller", reason: "too_many" })).toBe(1);
  const [first] = allowed;
  first?.write("GET /api/v1/node HTTP/1.1\r\nHost: x\r\n\r\n");
  const [answer] = await once(first ?? dial(), "data");
  expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
});

describe("what is told", () => {
  test("is the node, its links and its applications", async () => {
    expect((await get("node")).json).toEqual({
      ...{ km: "km-a", version: "1.2.3", board: "host", ready: true, token: "ready", store: "ready" },
      ...{ seal: "direct", epoch: 3, waiting: 0, started_at: "2026-01-01T00:00:00.000Z", healthy: true, silent: [] },
      ...{ loop_delay_p50_ms: 0.1, loop_delay_p99_ms: 1.5, loop_delay_max_ms: 12, memory_bytes: 1 << 20 },
      ...{ sessions_initiator: 0, sessions_destination: 0, apps: 3, keys_supplied: 7, keys_fetched: 2 },
      cluster: null,
    });
    const { links } = (await get("links")).json as { links: Record<string, unknown>[] };
    expect(
      links.map(({ link, peer, line, qber, stated_bits_per_s, alarms }) => [
        link,
        peer,
        line,
        qber,
        stated_bits_per_s,
        alarms,
      ]),
    ).toEqual([
      ["ab", "km-b", "up", 0.02, 2000, ["hot"]],
      ["ac", "km-c", "down", null, null, []],
    ]);
    expect((await get("apps")).json).toEqual({
      apps: [
        { app: "app-a1", home: "km-a", supplied: 7, fetched: 2 },
        { app: "app-a2", home: "km-a", supplied: 0, fetched: 0 },
        { app: "app-a3", home: "km-a", supplied: 0, fetched: 0 },
      ],
    });
    const { topology } = (await get("topology")).json;
    expect(topology).toContainEqual({ link: "bd", kms: ["km-b", "km-d"], cost: 1 });
  });

  test("is the members of a KM that is several machines", () => {
    const state = stateOf(km);
    const cluster: ClusterReport = {
      member: "1",
      state: "active",
      generation: 7,
      owner: "1",
      lagMs: 0,
      leaseLeftMs: 2400,
      etcd: "ready",
      others: [{ member: "2", state: "standby", behind: 3 }],
    };
    expect(nodeAnswer({ ...state, report: () => ({ ...state.report(), cluster }) }).cluster).toEqual({
      ...{ member: "1", state: "active", generation: 7, lag_ms: 0, lease_left_ms: 2400, etcd: "ready" },
      others: [{ member: "2", state: "standby", behind: 3 }],
    });
  });

  test("is each destination, with routes and who decides them", async () => {
    const { destinations } = (await get("destinations")).json as { destinations: Record<string, unknown>[] };
    expect(destinations.map(({ km: id, paths, decided_by, routes }) => [id, paths, decided_by, routes])).toEqual([
      ["km-b", 1, "topology", [{ transit: [] }]],
      ["km-c", 1, "topology", [{ transit: [] }]],
      ["km-d", 1, "topology", [{ transit: ["km-b"] }]],
    ]);
    await using both = await open(own, await node(2));
    const told = (await ask(own, both, "destinations")).json as { destinations: unknown[] };
    expect(told.destinations.at(-1)).toMatchObject({
      paths: 2,
      routes: [{ transit: ["km-b"] }, { transit: ["km-c"] }],
    });
    expect((await ask(own, both, "routes/km-d", { method: "PUT", body: over("km-b") })).json.message).toBe(
      "routes must have 2 that share no KM, as paths says, not 1",
    );
  });

  test("is how the last relays ended, from a number on", async () => {
    const { relayLog } = km.parts.context;
    relayLog.note({ destination: kmId("km-d"), route: [kmId("km-b")], outcome: "ready", failedAt: undefined, ms: 3.4 });
    relayLog.note({ destination: kmId("km-d"), route: [kmId("km-c")], outcome: "BAD_TAG", failedAt: "km-c", ms: 7 });
    const second = { number: 2, destination: "km-d", transit: ["km-c"], outcome: "BAD_TAG", failed_at: "km-c", ms: 7 };
    const { relays } = (await get("relays?after=1")).json as { relays: { ended_at: string }[] };
    expect(relays).toEqual([{ ...second, ended_at: expect.stringMatching(/^\d{4}-.*Z$/) }]);
    expect((await get("relays")).json.relays).toHaveLength(2);
    const { destinations } = (await get("destinations")).json as { destinations: Record<string, unknown>[] };
    expect(destinations.at(-1)).toMatchObject({ relays_ready: 1, relays_failed: 1 });
  });

  test("is what went wrong, from a number on, with the code of its fault and what else is short", async () => {
    const { faults } = (await get("faults")).json as { faults: Record<string, unknown>[] };
    expect(faults).toEqual([
      {
        ...{ number: 1, at: "2026-01-01T00:00:01.000Z", level: "warn", message: "a key relay was given up" },
        ...{ fault: "BAD_TAG", alarm: null, about: ["peer=km-b"] },
      },
      expect.objectContaining({ number: 2, fault: null, alarm: "out-of-use", about: ["link=ab"] }),
    ]);
    expect((await get("faults?after=1")).json.faults).toHaveLength(1);
  });

  test("is all of it at once, without what was told before", async () => {
    const { json } = await get("overview?relays_after=0&faults_after=1");
    for (const part of ["links", "relays", "sessions", "certificates", "apps"] as const) {
      expect(json[part]).toEqual((await get(part)).json[part]);
    }
    const peers = json.peers as { km: string }[];
    expect(peers.map(({ km: id }) => id)).toEqual(["km-a", "km-b", "km-c", "km-d"]);
    expect(json.faults).toHaveLength(1);
    expect(json.node).toMatchObject({ km: "km-a", keys_supplied: 7 });
  });

  test("has exactly the members of its table", async () => {
    km.parts.context.relayLog.note({
      destination: kmId("km-d"),
      route: [],
      outcome: "ready",
      failedAt: undefined,
      ms: 1,
    });
    for (const [name, { path, table }] of Object.entries(RESOURCES)) {
      const { json } = await get(path.replace("{KM}", "km-d"));
      const list = json[name];
      const one: unknown = Array.isArray(list) && name !== "routes" ? list[0] : json;
      expect(Object.keys(one as object).toSorted(), name).toEqual(Object.keys(table).toSorted());
    }
  });

  test("before the books are read is only the node; the rest comes later", async () => {
    await using early = await open(own, undefined);
    expect((await ask(own, early, "node")).json).toMatchObject({ ready: false, token: "ready" });
    expect((await ask(own, early, "links")).json).toEqual({ links: [] });
    const answer = await ask(own, early, "routes/km-d", { method: "PUT", body: over("km-b") });
    expect(answer).toMatchObject({ status: 503, headers: { "retry-after": "1" }, json: { code: "HSM_UNAVAILABLE" } });
  });
});

describe("routes", () => {
  test("are set whole, used at once, told, and given back", async () => {
    const set = await send("routes/km-d", { method: "PUT", body: over("km-c", "km-b") });
    expect(set).toMatchObject({ status: 200, json: { destination: "km-d", ...over("km-c", "km-b") } });
    expect(km.parts.routes.find(kmId("km-d"), 1)).toEqual([["km-c"]]);
    expect((await get("routes/km-d")).json).toEqual({ destination: "km-d", ...over("km-c", "km-b") });
    await send("routes/km-d", { method: "PUT", body: over("km-b") });
    const { destinations } = (await get("destinations")).json as { destinations: unknown[] };
    expect(destinations.at(-1)).toMatchObject({ km: "km-d", decided_by: "controller", ...over("km-b") });
    const back = await send("routes/km-d", { method: "DELETE" });
    expect(back).toMatchObject({ status: 200, json: { destination: "km-d", routes: null } });
    expect(km.parts.routes.find(kmId("km-d"), 1)).toEqual([["km-b"]]);
    expect(opened.seen.count("controller_requests", { method: "PUT", status: "200" })).toBe(2);
    const noted = opened.audit.of("routes_set", { controller: "controller-1", destination: "km-d" });
    expect(noted.map(({ fields }) => fields.routes)).toEqual(["km-c,km-b", "km-b", undefined]);
    const said = opened.seen.lines.filter(({ fields }) => fields.event === "routes_changed");
    expect(said.map(({ fields }) => [fields.controller, fields.method])).toEqual([
      ["controller-1", "PUT"],
      ["controller-1", "PUT"],
      ["controller-1", "DELETE"],
    ]);
  });

  test("that the store does not take are refused, and the old ones stay", async () => {
    await send("routes/km-d", { method: "PUT", body: over("km-c") });
    km.machine.fate = () => "rejected, lost";
    expect(await send("routes/km-d", { method: "PUT", body: over("km-b") })).toMatchObject({
      status: 503,
      json: { code: "STORE_UNAVAILABLE" },
    });
    expect((await get("routes/km-d")).json).toMatchObject(over("km-c"));
  });

  test.each<[string, Asked["body"], string]>([
    ["routes/km-d", "", "not JSON"],
    ["routes/km-d", "[]", "the body must be a JSON object"],
    ["routes/km-d", "\ud800{", "not JSON"],
    ["routes/km-d", "{}", "routes must be an array"],
    ["routes/km-d", { routes: [], more: 1 }, 'the body has "more"; its one member is routes'],
    ["routes/km-d", { routes: [] }, "routes must be 1 to 12, not 0"],
    ["routes/km-d", { routes: ["km-b"] }, "routes[0] must be a JSON object"],
    ["routes/km-d", { routes: [{ transit: "km-b" }] }, "routes[0].transit must be an array"],
    ["routes/km-d", { routes: [{ transit: [1] }] }, "routes[0].transit[0] must be a KM's ID"],
    ["routes/km-d", { routes: [{ transit: ["km b"] }] }, "routes[0].transit[0] must be a KM's ID"],
    ["routes/km-d", { routes: [{ transit: ["km-b"], cost: 1 }] }, 'routes[0] has "cost"'],
    ["routes/km-d", over("km-x"), "no link of the topology leads to km-x"],
    ["routes/km-d", over("km-b km-b"), "has km-b twice"],
    ["routes/km-d", over(""), "no link between km-a and km-d"],
    ["routes/km-x", over("km-b"), "names km-x"],
    ["routes/km%20x", over("km-b"), "a key manager's ID must be"],
    ["routes/km%ff", over("km-b"), "not URL-encoded UTF-8"],
    ["routes/km-d?now=1", over("km-b"), "routes takes no query"],
    ["routes/km-d", JSON.stringify({ routes: "x".repeat(70_000) }), "longer than 65536 bytes"],
    ["routes/km-d", { routes: Array.from({ length: 2000 }, () => 1) }, "at most 1024"],
  ])("PUT %s of %j is refused with the reason, and nothing is set", async (path, body, why) => {
    const answer = await send(path, { method: "PUT", ...(body !== undefined && { body }) });
    expect(answer).toMatchObject({ status: 400, json: { code: "MALFORMED_REQUEST" } });
    expect(answer.json.message).toContain(why);
    expect(km.km.routeAdmin.given(kmId("km-d"))).toBeUndefined();
  });

  test.each([
    ["/", "GET", 404],
    ["/api/v1/", "GET", 404],
    ["/api/v1/nodes", "GET", 404],
    ["/api/v1/node/km-a", "GET", 404],
    ["/api/v1/routes", "GET", 404],
    ["/api/v1/routes/km-d/1", "GET", 404],
    ["/api/v1/constructor", "GET", 404],
    ["/api/v1/routes/km-x", "GET", 400],
    ["/api/v1/relays?after=x", "GET", 400],
    ["/api/v1/node", "PUT", 405],
    ["/api/v1/routes/km-d", "POST", 405],
    ["/api/v1/routes/km-x", "DELETE", 400],
  ])("%s with %s is answered with %i", async (path, method, status) => {
    const answer = await send(path, { method });
    expect(answer.status).toBe(status);
    if (status === 405) expect(answer.headers.allow).toBe(path.includes("routes") ? "GET, PUT, DELETE" : "GET");
  });
});

describe("the end", () => {
  test("a change under way is finished and answered before the endpoint closes", async () => {
    const gate = Promise.withResolvers<void>();
    let writing = false;
    km.machine.pace = () => {
      writing = true;
      return gate.promise;
    };
    const answer = send("routes/km-d", { method: "PUT", body: over("km-c") });
    await until("it is being written", () => writing);
    const closed = opened.server[Symbol.asyncDispose]();
    gate.resolve();
    expect((await answer).status).toBe(200);
    await closed;
    expect(km.km.routeAdmin.given(kmId("km-d"))).toEqual([["km-c"]]);
  });

  test("a request that never comes whole does not hold it up, and what is no HTTP is cut off and counted", async () => {
    const { certificate: cert, key } = own.controller;
    const dial = async (text: string) => {
      const socket = connect({ host: "127.0.0.1", port: opened.server.port, cert, key, ca: own.servers.pem });
      socket.on("error", () => {});
      await once(socket, "secureConnect");
      socket.write(text);
      return socket.resume();
    };
    const half = await dial("PUT /api/v1/routes/km-d HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    const wrong = await dial("\0\0\0\0 what\r\n\r\n");
    await once(wrong, "close");
    expect(opened.seen.count("frames_refused", { door: "controller" })).toBe(1);
    const begun = performance.now();
    await Promise.all([once(half, "close"), opened.server[Symbol.asyncDispose]()]);
    // Nobody waits until the request has stalled for 30 s.
    expect(performance.now() - begun).toBeLessThan(25_000);
    expect(km.km.routeAdmin.given(kmId("km-d"))).toBeUndefined();
  });
});
