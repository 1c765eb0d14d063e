// What a KM tells the QKDN controller: its own reports under the names of the tables.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Route, TopologyLink } from "../core/topology.ts";
import type { NumberedResult } from "../keys/relay-log.ts";
import type { RouteDesk } from "../keys/route-desk.ts";
import type {
  APP,
  DESTINATION,
  LINK,
  NODE,
  RELAY,
  ROUTE,
  ROUTES_SET,
  TOPOLOGY_LINK,
  Told,
} from "./controller-tables.ts";
import type { KmReport, LinkReport, PeerReport } from "./status.ts";

/** What there is to tell of a KM. */
export interface ControllerState {
  report(): KmReport;
  /** Undefined until the books are read. */
  desk(): RouteDesk | undefined;
  readonly version: string;
  readonly board: string;
  readonly topology: readonly TopologyLink[];
  /** Those at home here. */
  readonly apps: readonly { readonly id: string; readonly home: string }[];
}

/** @throws Fault HSM_UNAVAILABLE before the books are read */
export function deskOf(state: ControllerState): RouteDesk {
  const desk = state.desk();
  if (desk !== undefined) return desk;
  throw new Fault("HSM_UNAVAILABLE", { text: "the books are not read yet: no security module", retryAfterMs: 1000 });
}

export function nodeAnswer({ report, version, board }: ControllerState): Told<typeof NODE> {
  const { km, ready, vault, peers } = report();
  const waiting = peers.reduce((sum, peer) => sum + peer.waiting, 0);
  return {
    km,
    version,
    board,
    ready,
    token: vault.token,
    store: vault.store,
    seal: vault.mode,
    epoch: vault.epoch,
    waiting,
  };
}

export const linkAnswer = (link: LinkReport): Told<typeof LINK> => ({
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

export const topologyAnswer = ({ id, kms, cost }: TopologyLink): Told<typeof TOPOLOGY_LINK> => ({
  link: id,
  kms,
  cost,
});

export const appAnswer = ({ id, home }: ControllerState["apps"][number]): Told<typeof APP> => ({ app: id, home });

const routeAnswer = (transit: Route): Told<typeof ROUTE> => ({ transit });

export function destinationAnswers(state: ControllerState): readonly Told<typeof DESTINATION>[] {
  const desk = deskOf(state);
  const peers = new Map<string, PeerReport>(state.report().peers.map((peer) => [peer.id, peer]));
  return desk.destinations.flatMap((km) => {
    const peer = peers.get(km);
    return peer === undefined ? [] : [destinationAnswer(desk, km, peer)];
  });
}

function destinationAnswer(desk: RouteDesk, km: KmId, peer: PeerReport): Told<typeof DESTINATION> {
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
    paths: desk.paths(km),
    decided_by: desk.given(km) === undefined ? "topology" : "controller",
    routes: desk.current(km).map(routeAnswer),
    relays_ready: ready,
    relays_failed: failed,
  };
}

export const relayAnswer = (result: NumberedResult): Told<typeof RELAY> => ({
  number: result.number,
  ended_at: new Date(result.wallMs).toISOString(),
  destination: result.destination,
  transit: result.route,
  outcome: result.outcome,
  failed_at: result.failedAt ?? null,
  ms: Math.round(result.ms),
});

export const routesAnswer = (desk: RouteDesk, destination: KmId): Told<typeof ROUTES_SET> => ({
  destination,
  routes: desk.given(destination)?.map(routeAnswer) ?? null,
});
