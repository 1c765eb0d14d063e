// What a KM tells the QKDN controller: its own reports under the names of the tables.

import { DIRECTORY_LIMITS } from "../../core/directory.ts";
import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Route, TopologyLink } from "../../core/topology/topology.ts";
import type { DirectoryAdmin, NumberedResult, PeerFacts, RouteAdmin, SessionView } from "../../keys/report.ts";
import type { LoopDelay } from "../metrics/loop.ts";
import type { RecentFault } from "../recent-faults.ts";
import type { ClusterReport, KmReport, LinkReport } from "../status.ts";
import type {
  APP,
  CERTIFICATE,
  CLUSTER,
  DESTINATION,
  DIRECTORY,
  FAULT,
  LINK,
  NODE,
  OVERVIEW,
  PEER,
  RELAY,
  Reported,
  ROUTE,
  ROUTES_SET,
  SESSION,
  TOPOLOGY_LINK,
} from "./tables.ts";

/** What there is to tell of a KM. */
export interface ControllerState {
  report(): KmReport;
  /** Undefined until the books are read. */
  desk(): RouteAdmin | undefined;
  readonly version: string;
  readonly board: string;
  readonly topology: readonly TopologyLink[];
  /** Those at home here: how many; and those that the configuration names or that were supplied or fetched since the start. */
  readonly apps: { count(): number; known(): readonly { readonly id: string; readonly home: string }[] };
  readonly directory: DirectoryAdmin;
  /** Keys supplied and fetched by ID since the start, by application. */
  keys(): { readonly supplied: ReadonlyMap<string, number>; readonly fetched: ReadonlyMap<string, number> };
  /** The last warnings and errors, oldest first. */
  faults(): readonly RecentFault[];
  sessions(): readonly SessionView[];
  certificates(): readonly Reported<typeof CERTIFICATE>[];
  loop(): LoopDelay;
  memoryBytes(): number;
  /** When the process began, in ms since 1970. */
  readonly startedMs: number;
}

/** @throws Fault HSM_UNAVAILABLE before the books are read */
export function deskOf(state: ControllerState): RouteAdmin {
  const desk = state.desk();
  if (desk !== undefined) return desk;
  throw new Fault("HSM_UNAVAILABLE", { text: "the books are not read yet: no security module", retryAfterMs: 1000 });
}

/** This KM, for `GET …/node`. */
export function nodeAnswer(state: ControllerState): Reported<typeof NODE> {
  const { version, board, startedMs, apps } = state;
  const { km, ready, vault, peers, sessions, health, cluster } = state.report();
  const { p50Ms, p99Ms, maxMs } = state.loop();
  const { supplied, fetched } = state.keys();
  return {
    km,
    version,
    board,
    ready,
    token: vault.token,
    store: vault.store,
    seal: vault.mode,
    epoch: vault.epoch,
    waiting: sum(peers.map((peer) => peer.waiting)),
    started_at: new Date(startedMs).toISOString(),
    healthy: health?.healthy ?? true,
    silent: (health?.parts ?? []).filter(({ healthy }) => !healthy).map(({ name }) => name),
    loop_delay_p50_ms: rounded(p50Ms),
    loop_delay_p99_ms: rounded(p99Ms),
    loop_delay_max_ms: rounded(maxMs),
    memory_bytes: state.memoryBytes(),
    sessions_initiator: sessions.initiator,
    sessions_destination: sessions.destination,
    apps: apps.count(),
    keys_supplied: sum(supplied.values()),
    keys_fetched: sum(fetched.values()),
    cluster: cluster === undefined ? null : clusterAnswer(cluster),
  };
}

const clusterAnswer = (cluster: ClusterReport): Reported<typeof CLUSTER> => ({
  member: cluster.member,
  state: cluster.state,
  generation: cluster.generation,
  lag_ms: cluster.lagMs,
  lease_left_ms: cluster.leaseLeftMs,
  etcd: cluster.etcd,
  others: cluster.others.map(({ member, state, behind }) => ({ member, state, behind })),
});

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** To microseconds. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

/** One QKD link, for `GET …/links`. */
export const linkAnswer = (link: LinkReport): Reported<typeof LINK> => ({
  link: link.id,
  peer: link.peer,
  line: link.line,
  module: link.module ?? null,
  agreement: link.agreement,
  block_bytes: link.blockBytes,
  stored_blocks: link.stored,
  usable_blocks: link.usable,
  measured_bits_per_s: link.measuredBitsPerS,
  stated_bits_per_s: link.keyRateBitsPerS ?? null,
  qber: link.qber ?? null,
  pad_bytes_out: link.padBytes.out,
  pad_bytes_in: link.padBytes.in,
  alarms: link.alarms,
});

/** One link of the whole network, as configured here. */
export const topologyAnswer = ({ id, kms, cost }: TopologyLink): Reported<typeof TOPOLOGY_LINK> => ({
  link: id,
  kms,
  cost,
});

/** The applications at home here, with what each was supplied. */
export function appAnswers(state: ControllerState): readonly Reported<typeof APP>[] {
  const { supplied, fetched } = state.keys();
  return state.apps.known().map(({ id, home }) => ({
    app: id,
    home,
    supplied: supplied.get(id) ?? 0,
    fetched: fetched.get(id) ?? 0,
  }));
}

/** Longer values of a line's fields are left out of `about`. */
const LONGEST_VALUE = 100;

/** Warnings and errors of the log with a number above `after`. */
export const faultAnswers = (state: ControllerState, after = 0): readonly Reported<typeof FAULT>[] =>
  state.faults().flatMap((line) => (line.number > after ? [faultAnswer(line)] : []));

function faultAnswer({ number, time, level, message, fields }: RecentFault): Reported<typeof FAULT> {
  const { fault, alarm, ...rest } = fields;
  const about = Object.entries(rest).filter(([, value]) => !(typeof value === "object" || value === null));
  return {
    number,
    at: time,
    level,
    message,
    // Some lines have the whole response: `CODE: text`.
    fault: typeof fault === "string" ? (fault.split(":")[0] ?? null) : null,
    alarm: typeof alarm === "string" ? alarm : null,
    about: about.map(([name, value]) => `${name}=${value}`).filter((text) => text.length <= LONGEST_VALUE),
  };
}

/** One session of the proactive mode. */
export const sessionAnswer = (session: SessionView): Reported<typeof SESSION> => ({
  session: session.id,
  role: session.role,
  initiator: session.initiator,
  destination: session.destination,
  peer: session.peer,
  state: session.state,
  supplied: session.spent,
  budget: session.budget,
  idle_ms: session.idleMs,
});

/** The directory, and its entries from number `from` on. */
export function directoryAnswer(directory: DirectoryAdmin, from: number | undefined): Reported<typeof DIRECTORY> {
  const { revision, apps, fingerprint, controller, toldMs, confirmedMs } = directory.facts();
  const entries = from === undefined ? null : directory.entries(from, DIRECTORY_LIMITS.page);
  const next = (from ?? 0) + (entries?.length ?? 0);
  return {
    revision,
    apps,
    fingerprint,
    controller: revision === 0 ? null : controller,
    changed_at: revision === 0 ? null : new Date(toldMs).toISOString(),
    confirmed_at: confirmedMs === undefined ? null : new Date(confirmedMs).toISOString(),
    age_s: revision === 0 ? null : Math.max(0, Math.round((Date.now() - Math.max(toldMs, confirmedMs ?? 0)) / 1000)),
    entries,
    next: entries !== null && next < apps ? next : null,
  };
}

const routeAnswer = (transit: Route): Reported<typeof ROUTE> => ({ transit });

/** The KMs for which there may be routes, with what is in stock for each. */
export function destinationAnswers(state: ControllerState): readonly Reported<typeof DESTINATION>[] {
  const desk = deskOf(state);
  const peers = new Map<string, PeerFacts>(state.report().peers.map((peer) => [peer.id, peer]));
  return desk.destinations.flatMap((km) => {
    const peer = peers.get(km);
    return peer === undefined ? [] : [destinationAnswer(desk, km, peer)];
  });
}

const destinationAnswer = (desk: RouteAdmin, km: KmId, peer: PeerFacts): Reported<typeof DESTINATION> => ({
  ...peerAnswer(desk, km, peer),
  paths: desk.paths(km),
  decided_by: desk.given(km) === undefined ? "topology" : "controller",
  routes: desk.current(km).map(routeAnswer),
});

function peerAnswer(desk: RouteAdmin, km: KmId, peer: PeerFacts): Reported<typeof PEER> {
  const { ready, failed } = desk.totals(km);
  return {
    km,
    reachable: peer.reachable,
    connected: peer.connected,
    synchronised: peer.synchronised,
    stored_keys: peer.storedKeys,
    kma_keys: peer.kmaKeys,
    held: peer.held,
    in_flight: peer.inFlight,
    waiting: peer.waiting,
    relays_ready: ready,
    relays_failed: failed,
  };
}

/** How relays ended, those with a number above `after`. */
export const relayAnswers = (desk: RouteAdmin, after = 0): readonly Reported<typeof RELAY>[] =>
  desk.resultsAfter(after).map(relayAnswer);

/** Applications of which the overview tells. */
const MOST_APPS = 256;

/** Before the books are read: the node, its faults and its certificates. */
export function overviewAnswer(
  state: ControllerState,
  after: Readonly<Record<string, number>>,
): Reported<typeof OVERVIEW> {
  const desk = state.desk();
  const report = state.report();
  const apps = appAnswers(state);
  const busiest = apps.length <= MOST_APPS ? apps : apps.toSorted((a, b) => b.supplied - a.supplied);
  return {
    node: nodeAnswer(state),
    links: report.links.map(linkAnswer),
    peers: desk === undefined ? [] : report.peers.map((peer) => peerAnswer(desk, peer.id as KmId, peer)),
    apps: busiest.slice(0, MOST_APPS),
    relays: desk === undefined ? [] : relayAnswers(desk, after.relays_after),
    faults: faultAnswers(state, after.faults_after),
    sessions: state.sessions().map(sessionAnswer),
    certificates: state.certificates(),
  };
}

const relayAnswer = (result: NumberedResult): Reported<typeof RELAY> => ({
  number: result.number,
  ended_at: new Date(result.wallMs).toISOString(),
  destination: result.destination,
  transit: result.route,
  outcome: result.outcome,
  failed_at: result.failedAt ?? null,
  ms: Math.round(result.ms),
});

/** The routes that a controller has set for a destination; null where it has set none. */
export const routesAnswer = (desk: RouteAdmin, destination: KmId): Reported<typeof ROUTES_SET> => ({
  destination,
  routes: desk.given(destination)?.map(routeAnswer) ?? null,
});
