// The controller's endpoint of a real key manager on a modelled machine, and clients that are not our own.

import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request } from "node:https";
import type { ControllerState } from "../../../src/control/controller/answers.ts";
import { type ControllerServer, startController } from "../../../src/control/controller/endpoint.ts";
import type { RecentFault } from "../../../src/control/recent-faults.ts";
import { reportOf } from "../../../src/control/status.ts";
import { kmId, linkId } from "../../../src/core/ids.ts";
import type { TopologyLink } from "../../../src/core/topology/topology.ts";
import { ApplicationTable } from "../../../src/keys/directory/application-table.ts";
import { Directory } from "../../../src/keys/directory/directory.ts";
import type { SessionView } from "../../../src/keys/report.ts";
import { APPS, POLICY, QUOTA } from "../../keys/support/network.ts";
import { TestNode } from "../../keys/support/node.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../../support/certificates.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { ModelAudit } from "../../support/model-audit.ts";
import { ModelMachine } from "../../support/model-vault.ts";
import { turnPace } from "../../support/pace.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";

const link = (id: string, a: string, b: string): TopologyLink => ({ id: linkId(id), kms: [kmId(a), kmId(b)], cost: 1 });

/** km-a ══ab══ km-b ══bd══ km-d, km-a ══ac══ km-c ══cd══ km-d. */
export const DIAMOND: readonly TopologyLink[] = [
  link("ab", "km-a", "km-b"),
  link("ac", "km-a", "km-c"),
  link("bd", "km-b", "km-d"),
  link("cd", "km-c", "km-d"),
];

export interface Papers {
  readonly servers: Authority;
  readonly controllers: Authority;
  readonly km: Credentials;
  readonly controller: Credentials;
}

export async function papers(): Promise<Papers> {
  const [servers, controllers] = await Promise.all([authority("servers"), authority("controllers")]);
  const km = await forIdentity(servers, "km", "km-a");
  return { servers, controllers, km, controller: await forIdentity(controllers, "controller", "controller-1") };
}

/** km-a, whose own links are ab and ac, with so many paths to km-d. */
export async function node(paths = 1): Promise<TestNode> {
  const links = (["km-b", "km-c"] as const).map((peer) => ({
    ...{ id: linkId(peer === "km-b" ? "ab" : "ac"), peer: kmId(peer) },
    ...{ blockBytes: 4096, share: [1, 1] as const, keepBlocks: 64 },
  }));
  const peers = ["km-b", "km-c", "km-d"].map(kmId);
  const settings = { id: kmId("km-a"), policy: POLICY, apps: APPS, links, peers, topology: DIAMOND };
  const made = new TestNode(new ManualClock(), { ...settings, paths: new Map([[kmId("km-d"), paths]]) });
  await made.boot();
  await until("the local stock is filled", () => made.parts.local.stock.size > 0);
  return made;
}

/** What the log of that node has. */
const FAULT_LINES: readonly RecentFault[] = [
  {
    ...{ number: 1, level: "warn", time: "2026-01-01T00:00:01.000Z", message: "a key relay was given up" },
    fields: { peer: "km-b", fault: "BAD_TAG: the tag does not fit", err: { type: "Error" } },
  },
  {
    ...{ number: 2, level: "error", time: "2026-01-01T00:00:02.000Z", message: "an operator took the link out of use" },
    fields: { alarm: "out-of-use", link: "ab", note: "x".repeat(200) },
  },
];

const SESSION: SessionView = {
  id: "s-1",
  role: "initiator",
  initiator: "app-a1",
  destination: "app-b1",
  peer: "km-b",
  state: "open",
  spent: 2,
  budget: 100,
  idleMs: 1500,
};

export interface Opened extends AsyncDisposable {
  readonly server: ControllerServer;
  readonly seen: Recorder;
  readonly audit: ModelAudit;
}

/** The directory that a machine's disk has, and what its doors would ask. */
export function directoryIn(machine: ModelMachine, audit: ModelAudit) {
  const { log } = recorder();
  const clock = new ManualClock();
  const options = { self: kmId("km-a"), clock, quota: QUOTA, formerMs: POLICY.maxAgeMs + POLICY.fetchWindowMs };
  const applications = new ApplicationTable(options, APPS);
  const ports = { vault: machine.boot(), clock, pace: turnPace(), log, audit, applications };
  const directory = new Directory(ports);
  directory.restore();
  return { directory, applications, clock };
}

/** What that node tells; undefined: its key inventory is not read yet. */
export function stateOf(km: TestNode | undefined, directory?: Directory): ControllerState {
  const vault = {
    token: "ready",
    store: "ready",
    mode: "direct",
    epoch: 3,
    slots: { all: 8, pinned: 0, intake: 2 },
  } as const;
  const line = { line: "up", qber: 0.02, keyRateBitsPerS: 2000, alarms: ["hot"] } as const;
  return {
    report: () => reportOf(kmId("km-a"), vault, km?.km, (id) => (id === "ab" ? line : undefined)),
    desk: () => km?.km.routeAdmin,
    version: "1.2.3",
    board: "host",
    topology: DIAMOND,
    apps: { count: () => 3, known: () => APPS.filter(({ home }) => home === "km-a") },
    directory: directory ?? directoryIn(new ModelMachine(4, () => {}), new ModelAudit()).directory,
    keys: () => ({ supplied: new Map([["app-a1", 7]]), fetched: new Map([["app-a1", 2]]) }),
    faults: () => FAULT_LINES,
    sessions: () => [SESSION],
    certificates: () => [
      { door: "ak", use: "own", subject: "urn:qkm:km:km-a", not_after: "2027-01-01T00:00:00.000Z", file: "server.pem" },
    ],
    loop: () => ({ p50Ms: 0.1, p99Ms: 1.5, maxMs: 12 }),
    memoryBytes: () => 1 << 20,
    startedMs: Date.UTC(2026, 0, 1),
  };
}

/** `km` undefined: the books are not read yet. */
export async function open(own: Papers, km: TestNode | undefined, directory?: Directory): Promise<Opened> {
  const seen = recorder();
  const audit = new ModelAudit();
  const state = stateOf(km, directory);
  const options = { listen: { host: "127.0.0.1", port: 0 }, tls: material(own.km, own.controllers) };
  const server = await startController(options, { state, log: seen.log, meter: seen.meter, audit });
  return { server, seen, audit, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Asked {
  readonly method?: string;
  readonly body?: string | object;
  readonly as?: Credentials;
}

/** `path` is below /api/v1/ unless it begins with a slash. @throws Error without an answer */
export async function ask(own: Papers, { server }: Opened, path: string, asked: Asked = {}): Promise<Answered> {
  const { method = "GET", body, as = own.controller } = asked;
  const asking = request({
    ...{ host: "127.0.0.1", port: server.port, path: path.startsWith("/") ? path : `/api/v1/${path}`, method },
    ...{ cert: as.certificate, key: as.key, ca: own.servers.pem, agent: false },
  });
  asking.end(typeof body === "object" ? JSON.stringify(body) : body);
  const [response]: IncomingMessage[] = await once(asking, "response");
  let text = "";
  for await (const chunk of response ?? []) text += chunk;
  return { status: response?.statusCode ?? 0, headers: response?.headers ?? {}, json: JSON.parse(text) };
}
