// What a running KM says of itself: one plain object, for `qkm status`, the live table and whoever waits for readiness.

import type { KmId } from "../core/ids.ts";
import type { DirectoryFacts, KeysAdmin, LinkFacts, PeerFacts, VaultFacts } from "../keys/report.ts";
import type { HealthReport } from "./health/health.ts";

/** The module of a link and its line, as the driver tells. */
interface LineStatus {
  readonly line: "up" | "down";
  readonly module?: string;
  readonly qber?: number;
  readonly keyRateBitsPerS?: number;
  readonly alarms: readonly string[];
}

/** A link of this KM, with its module and line; while it is down `alarms` begins with `out-of-use`. */
export interface LinkReport extends LineStatus, Omit<LinkFacts, "isUp"> {}

/** What a member of a KM says of itself and of the others; `generation` is that of whoever is active. */
export interface ClusterReport {
  readonly member: string;
  readonly state: "active" | "standby";
  readonly generation: number;
  readonly owner?: string;
  /** For how long its copy has been behind the last write. */
  readonly lagMs: number;
  readonly leaseLeftMs: number;
  readonly etcd: "ready" | "failing";
  readonly others: readonly {
    readonly member: string;
    readonly state: "active" | "standby";
    readonly behind: number;
  }[];
}

/** Everything that a KM says of itself. */
export interface KmReport {
  readonly km: string;
  readonly ready: boolean;
  readonly vault: VaultFacts;
  /** Absent where the KM is one machine. */
  readonly cluster?: ClusterReport;
  /** Absent while no controller has told one. */
  readonly directory?: DirectoryFacts;
  /** Absent where nobody watches. */
  readonly health?: HealthReport;
  readonly links: readonly LinkReport[];
  /** Peers with links; the KM itself stands for keys between its own applications. */
  readonly peers: readonly PeerFacts[];
  /** Sessions by the role of the application at home here. */
  readonly sessions: { readonly initiator: number; readonly destination: number };
}

/** `keys` is undefined before the books are read. */
export function reportOf(
  km: KmId,
  vault: VaultFacts,
  keys: Pick<KeysAdmin, "report"> | undefined,
  lineOf: (link: string) => LineStatus | undefined,
): KmReport {
  if (keys === undefined)
    return { km, ready: false, vault, links: [], peers: [], sessions: { initiator: 0, destination: 0 } };
  const { links, peers, sessions } = keys.report();
  return { km, ready: true, vault, links: links.map((link) => linkReport(link, lineOf(link.id))), peers, sessions };
}

function linkReport({ isUp, ...facts }: LinkFacts, line: LineStatus = { line: "down", alarms: [] }): LinkReport {
  return { ...line, alarms: isUp ? line.alarms : ["out-of-use", ...line.alarms], ...facts };
}
