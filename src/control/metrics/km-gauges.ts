// The gauges of the key manager, from what it says of itself.

import type { DirectoryFacts, PeerFacts } from "../../keys/report.ts";
import type { ClusterReport, KmReport, LinkReport } from "../status.ts";
import type { Collect, SetGauge } from "./gauges.ts";

/** `connections` by door, open or on their way. */
export interface KmState {
  readonly report: KmReport;
  readonly connections: Readonly<Record<string, number>>;
}

/** Asks `state` at each scrape. */
export const kmGauges =
  (state: () => KmState): Collect =>
  (set) => {
    const { report, connections } = state();
    for (const link of report.links) linkGauges(set, link);
    for (const peer of report.peers) peerGauges(set, peer);
    for (const [door, count] of Object.entries(connections)) set("connections", count, { door });
    for (const [role, count] of Object.entries(report.sessions)) set("sessions", count, { role });
    const { token, store, epoch, slots } = report.vault;
    set("token_ready", Number(token === "ready"));
    if (report.directory !== undefined) directoryGauges(set, report.directory);
    set("store_ready", Number(store === "ready"));
    set("epoch", epoch);
    set("memory_slots", slots.all, { state: "all" });
    set("memory_slots", slots.pinned, { state: "pinned" });
    set("memory_slots", slots.intake, { state: "intake" });
  };

function directoryGauges(set: SetGauge, { apps, revision, toldMs, confirmedMs = 0 }: DirectoryFacts): void {
  set("directory_apps", apps);
  set("directory_revision", revision);
  set("directory_age_seconds", Math.max(0, Date.now() - Math.max(toldMs, confirmedMs)) / 1000);
}

function linkGauges(set: SetGauge, report: LinkReport): void {
  const link = { link: report.id };
  set("link_up", Number(report.line === "up"), link);
  set("link_out_of_use", Number(report.alarms.includes("out-of-use")), link);
  if (report.keyRateBitsPerS !== undefined) set("link_key_rate_bits_per_second", report.keyRateBitsPerS, link);
  if (report.qber !== undefined) set("link_qber_ratio", report.qber, link);
  set("link_measured_bits_per_second", report.measuredBitsPerS, link);
  set("link_stored_blocks", report.stored, link);
  set("link_usable_blocks", report.usable, link);
}

function peerGauges(set: SetGauge, report: PeerFacts): void {
  const peer = { peer: report.id };
  set("peer_connected", Number(report.connected), peer);
  set("peer_synchronised", Number(report.synchronised), peer);
  set("stock_keys", report.storedKeys, peer);
  set("stock_kma_keys", report.kmaKeys, { ...peer, role: "source" });
  set("stock_kma_keys", report.held, { ...peer, role: "destination" });
  set("relays_in_flight", report.inFlight, peer);
  set("requests_waiting", report.waiting, peer);
}

/** Of a KM with several members: where this one stands. */
export const clusterGauges =
  (report: () => ClusterReport): Collect =>
  (set) => {
    const { state, generation, lagMs, leaseLeftMs, etcd } = report();
    set("cluster_active", Number(state === "active"));
    set("cluster_generation", generation);
    set("cluster_lag_seconds", lagMs / 1000);
    set("cluster_lease_seconds", leaseLeftMs / 1000);
    set("cluster_etcd_ready", Number(etcd === "ready"));
  };
