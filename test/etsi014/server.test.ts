// Tests of src/etsi014/server.ts: the whole door over real TLS, and what becomes of key bytes on their way out.

import { Agent, request } from "node:https";
import { connect, TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { FAULTS, Fault } from "../../src/core/fault.ts";
import { type Etsi014Server, startEtsi014 } from "../../src/etsi014/server.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { until } from "../support/until.ts";
import { rawOn } from "./bench-service.ts";
import { FakeDoor, fakeKey } from "./fake-door.ts";

const GET = "GET /api/v1/keys/app-b1/enc_keys HTTP/1.1\r\nHost: localhost\r\n\r\n";

interface Net {
  readonly servers: Authority;
  readonly apps: Authority;
  readonly km: Credentials;
  readonly app: Credentials;
}

let net: Net;
beforeAll(async () => {
  const [servers, apps] = await Promise.all([authority("servers"), authority("apps")]);
  const [km, app] = await Promise.all([forIdentity(servers, "km", "km-a"), forIdentity(apps, "app", "app-a1")]);
  net = { servers, apps, km, app };
});

interface Opened extends AsyncDisposable {
  readonly server: Etsi014Server;
  readonly door: FakeDoor;
  readonly memory: Uint8Array;
  readonly recorder: Recorder;
}

async function open(requireHybrid = false, maxConnections = 50): Promise<Opened> {
  const door = new FakeDoor();
  const memory = new Uint8Array(65_536);
  const told = recorder();
  const admit = (id: string) =>
    id === "app-a1" ? undefined : new Fault(id === "app-b1" ? "NOT_AT_HOME" : "UNKNOWN_APPLICATION");
  const server = await startEtsi014(
    {
      listen: { host: "127.0.0.1", port: 0 },
      tls: material(net.km, net.apps),
      requireHybrid,
      mostSlaves: 0,
      maxConnections,
      memory,
    },
    { door, clock: new ManualClock(), log: told.log, meter: told.meter, admit },
  );
  return { server, door, memory, recorder: told, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const identity = (own: Credentials) => ({ cert: own.certificate, key: own.key, ca: net.servers.pem });

function dial(opened: Opened, more: object = {}) {
  const socket = connect({ host: "127.0.0.1", port: opened.server.port, ...identity(net.app), ...more });
  socket.on("error", () => {});
  return rawOn(socket);
}

function ask(port: number, agent: Agent, own = net.app): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const path = "/api/v1/keys/app-b1/enc_keys?number=2";
    const asking = request({ host: "127.0.0.1", port, path, agent, ...identity(own) }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asking.on("error", reject);
    asking.end();
  });
}

describe("over TLS", () => {
  it("3.1: an application is who its certificate says", async () => {
    await using opened = await open();
    using client = dial(opened);
    client.socket.write(GET);
    await client.received((text) => text.endsWith("}"));
    expect(opened.door.asked[0]?.request).toMatchObject({ app: "app-a1", destination: "app-b1" });
  });

  it("tells an application at the wrong key manager so: 401 with a body, and the connection ends", async () => {
    await using opened = await open();
    const agent = new Agent({ keepAlive: true });
    const { status, text } = await ask(opened.server.port, agent, await forIdentity(net.apps, "app", "app-b1"));
    expect([status, JSON.parse(text)]).toEqual([401, { message: FAULTS.NOT_AT_HOME.text }]);
    expect(opened.door.asked).toEqual([]);
    await until("it is gone", () => opened.server.connections === 0);
    agent.destroy();
  });

  it("serves an ordinary HTTPS client on 16 connections that it keeps", async () => {
    await using opened = await open();
    const agent = new Agent({ keepAlive: true, maxSockets: 16 });
    const replies = await Promise.all(Array.from({ length: 200 }, () => ask(opened.server.port, agent)));
    const open16 = opened.server.connections;
    agent.destroy();
    expect(open16).toBe(16);
    const keys = [0, 1].map((i) => fakeKey(i, 32).toString("base64"));
    for (const { status, text } of replies) {
      expect(status).toBe(200);
      expect((JSON.parse(text) as { keys: { key: string }[] }).keys.map((entry) => entry.key)).toEqual(keys);
    }
    expect(opened.memory.every((byte) => byte === 0)).toBe(true);
    expect(opened.door.grants.every((grant) => grant.disposed === 1)).toBe(true);
  });

  it("refuses other applications, other authorities and no certificate", async () => {
    await using opened = await open();
    const strangers = [
      await forIdentity(net.apps, "app", "app-x"),
      await forIdentity(net.servers, "app", "app-a1"),
      await forIdentity(net.apps, "km", "app-a1"),
      undefined,
    ];
    for (const own of strangers) {
      using client = dial(opened, own === undefined ? { cert: undefined, key: undefined } : identity(own));
      client.socket.write(GET);
      expect(await client.ended()).toBe("");
    }
    expect(opened.door.asked).toEqual([]);
    await until("four are refused", () => opened.recorder.count("connections_refused", { door: "etsi014" }) === 4);
  });

  it("accepts X25519 from clients without the hybrid group, unless that is required", async () => {
    for (const [required, answered] of [
      [false, true],
      [true, false],
    ] as const) {
      await using opened = await open(required);
      using client = dial(opened, { ecdhCurve: "X25519" });
      client.socket.write(GET);
      expect((await client.received((text) => text.endsWith("}")).catch(() => "")) !== "").toBe(answered);
    }
  });

  it("drains at stop", async () => {
    const opened = await open();
    opened.door.answers = "wait";
    using client = dial(opened);
    client.socket.write(GET);
    await opened.door.askedFor(1);
    const stopped = opened.server[Symbol.asyncDispose]();
    opened.door.grant(0);
    expect(await client.ended()).toContain(fakeKey(0, 32).toString("base64"));
    await stopped;
  });
});

describe("key bytes on their way out", () => {
  afterAll(() => vi.restoreAllMocks());

  it("are zero in the locked memory when the write has returned, and leave in one write of that memory", async () => {
    await using opened = await open();
    const views: { readonly view: Uint8Array; readonly zero: boolean }[] = [];
    const write = TLSSocket.prototype.write;
    vi.spyOn(TLSSocket.prototype, "write").mockImplementation(function (this: TLSSocket, ...args) {
      const [view] = args as unknown as [unknown];
      const taken = Reflect.apply(write, this, args) as boolean;
      if (view instanceof Uint8Array && view.buffer === opened.memory.buffer) {
        queueMicrotask(() => views.push({ view, zero: opened.memory.every((byte) => byte === 0) }));
      }
      return taken;
    });
    using client = dial(opened);
    client.socket.write(GET);
    const text = await client.received((got) => got.endsWith("}"));
    expect(text).toContain(fakeKey(0, 32).toString("base64"));
    await until("it is written", () => views.length > 0);
    expect(views).toHaveLength(1);
    expect(views[0]?.view.length).toBe(text.length);
    expect(views[0]?.zero).toBe(true);
  });
});
