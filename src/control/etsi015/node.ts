// A KM as an SDN controller sees it: its report under the names of ETSI GS QKD 015.

import type { PeerFacts } from "../../keys/report.ts";
import type { ControllerState } from "../controller/answers.ts";
import type { LinkReport } from "../status.ts";
import { identity, type QkdApp, type QkdInterface, type QkdLink, type QkdNode } from "./model.ts";
import { uuidOf } from "./names.ts";

/** Largest number of a YANG uint32. */
const UINT32 = 2 ** 32 - 1;

/** The whole of `qkd_node`, as of now. */
export function qkdNode(state: ControllerState): QkdNode {
  const { km, ready, vault, links } = state.report();
  const isWell = vault.token === "ready" && vault.store === "ready";
  const apps = [...state.apps.known().map(({ id }) => appOf(km, id)), ...sessionsOf(state, km)];
  return {
    qkdn_id: uuidOf("km", km),
    qkdn_status: identity(isWell ? (ready ? "OPERATING" : "NEW") : "FAILURE"),
    qkdn_version: state.version,
    qkdn_location_id: km,
    qkdn_capabilities: { link_stats_support: true, application_stats_support: false, key_relay_mode_enable: true },
    qkd_applications: { qkd_app: apps },
    qkd_interfaces: { qkd_interface: links.map(interfaceOf) },
    qkd_links: { qkd_link: [...links.map((link, at) => physicalLink(km, link, at)), ...virtualLinks(state, km, apps)] },
  };
}

const uri = (app: string): string => `urn:qkm:app:${app}`;

const appOf = (km: string, id: string): QkdApp => ({
  app_id: uuidOf("app", id),
  app_status: identity("ON"),
  app_type: identity("CLIENT"),
  server_app_id: uri(id),
  client_app_id: [],
  app_priority: 0,
  local_qkdn_id: uuidOf("km", km),
});

/** A session is what 015 calls an application: two entities that are given the same keys. */
const sessionsOf = ({ sessions }: ControllerState, km: string): readonly QkdApp[] =>
  sessions().map(({ id, initiator, destination, peer }) => ({
    app_id: uuidOf("session", initiator, destination, id),
    app_status: identity("ON"),
    app_type: identity("CLIENT"),
    server_app_id: uri(initiator),
    client_app_id: [uri(destination)],
    app_priority: 0,
    local_qkdn_id: uuidOf("km", km),
    remote_qkdn_id: uuidOf("km", peer),
  }));

const isOutOfUse = ({ alarms }: LinkReport): boolean => alarms.includes("out-of-use");

/** Numbered in the order of the configuration. */
const interfaceOf = (link: LinkReport, at: number): QkdInterface => ({
  qkdi_id: at + 1,
  qkdi_model: link.module ?? "",
  qkdi_status: identity(isOutOfUse(link) ? "DISABLED" : link.line === "up" ? "ENABLED" : "FAILED"),
});

function physicalLink(km: string, link: LinkReport, at: number): QkdLink {
  const { id, peer, measuredBitsPerS, keyRateBitsPerS = 0, qber } = link;
  const rate = measuredBitsPerS > 0 ? measuredBitsPerS : keyRateBitsPerS;
  return {
    qkdl_id: uuidOf("link", id),
    qkdl_status: identity(statusOf(link)),
    qkdl_enable: !isOutOfUse(link),
    qkdl_local: { qkdn_id: uuidOf("km", km), qkdi_id: at + 1 },
    qkdl_remote: { qkdn_id: uuidOf("km", peer) },
    qkdl_type: identity("PHYS"),
    qkdl_applications: [],
    qkdl_performance: {
      skr: Math.min(UINT32, Math.round(rate)),
      phys_perf: qber === undefined ? [] : [{ perf_type: identity("QBER"), value: qber.toFixed(4) }],
    },
  };
}

function statusOf(link: LinkReport): "ACTIVE" | "PASSIVE" | "PENDING" | "OFF" {
  if (isOutOfUse(link) || link.agreement === "refused") return "OFF";
  if (link.agreement === "unverified") return "PENDING";
  return link.line === "up" ? "ACTIVE" : "PASSIVE";
}

/** Over relays: to each KM that shares keys with this one and is no neighbour. */
function virtualLinks(state: ControllerState, km: string, apps: readonly QkdApp[]): readonly QkdLink[] {
  const desk = state.desk();
  if (desk === undefined) return [];
  const peers = new Map(state.report().peers.map((peer) => [peer.id, peer]));
  return desk.destinations.flatMap((destination) => {
    const [peer, [route]] = [peers.get(destination), desk.current(destination)];
    if (peer === undefined || route === undefined || route.length === 0) return [];
    const remote = uuidOf("km", destination);
    return [
      {
        // Both ends see one link.
        qkdl_id: uuidOf("virtual", ...[km, destination].toSorted()),
        qkdl_status: identity(relayStatus(peer)),
        qkdl_enable: true,
        qkdl_local: { qkdn_id: uuidOf("km", km) },
        qkdl_remote: { qkdn_id: remote },
        qkdl_type: identity("VIRT"),
        qkdl_applications: apps.filter((app) => app.remote_qkdn_id === remote).map((app) => app.app_id),
        virt_next_hop: route.slice(0, 1).map((hop) => uuidOf("km", hop)),
      },
    ];
  });
}

function relayStatus({ reachable, synchronised }: PeerFacts): "ACTIVE" | "PENDING" | "OFF" {
  if (!reachable) return "OFF";
  return synchronised ? "ACTIVE" : "PENDING";
}
