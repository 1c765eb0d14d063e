// What one KM is given, and its parts as far as they are open.

import type { NodeConfig } from "../config.ts";
import type { AuditWriter, LateAudit } from "../control/audit/audit-writer.ts";
import type { ConditionTeller } from "../control/health/condition.ts";
import type { Health } from "../control/health/health.ts";
import type { SettableLog } from "../control/log.ts";
import type { LoopMeasure } from "../control/metrics/loop.ts";
import type { Metrics } from "../control/metrics/metrics.ts";
import type { RecentFaults } from "../control/recent-faults.ts";
import type { ControlCommands } from "../control/socket/dialogue.ts";
import { type KmReport, reportOf } from "../control/status.ts";
import type { SyslogCopy } from "../control/syslog/syslog.ts";
import type { systemClock, systemRandom } from "../control/system.ts";
import type { Pace } from "../core/pace.ts";
import type { ApplicationTable } from "../keys/directory/application-table.ts";
import type { ConfiguredHomes } from "../keys/directory/configured-homes.ts";
import type { Directory } from "../keys/directory/directory.ts";
import type { AppRequests } from "../keys/manager/app-requests.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { OpenVault } from "../vault/open.ts";
import type { Store } from "../vault/store/store.ts";
import type { NodeCredentials } from "./credentials.ts";
import type { MoreDoors } from "./doors/more-doors.ts";
import type { NodeLinks } from "./links.ts";
import type { LiveConfig } from "./live-config.ts";
import type { Identities } from "./reload.ts";

/** What an active member brings: its store, its generation, and what operators see and do. */
export interface Membership {
  readonly generation: number;
  openStore(): Promise<Store>;
  report(): NonNullable<KmReport["cluster"]>;
  readonly commands: ControlCommands;
}

/** What a KM is given. */
export interface Given {
  /** What node.toml says: what is read of it after the start is asked anew each time. */
  readonly live: LiveConfig;
  readonly log: SettableLog;
  /** What the log has of warnings and errors. */
  readonly faults: Pick<RecentFaults, "read">;
  readonly metrics: Metrics;
  readonly clock: typeof systemClock;
  readonly random: typeof systemRandom;
  readonly pace: Pace;
  readonly health: Health;
  /** Tells lights and service manager what the KM is like. */
  readonly condition: Pick<ConditionTeller, "from">;
  /** Of a KM with several members, this one is active; undefined for a KM that is one machine. */
  readonly membership?: Membership;
  /** Where a copy of the log and the audit log goes. */
  readonly syslog: SyslogCopy | undefined;
  /** Ends every wait: SIGTERM, SIGINT, `qkm stop`, `qkm zeroise`, or the process that started us is gone. */
  readonly stop: AbortController;
}

/** What all parts are given. */
export interface Base extends Given {
  /** As it was at the start. */
  readonly config: NodeConfig;
  readonly audit: LateAudit;
  /** Of its doors, renewed when their files are. */
  readonly credentials: NodeCredentials;
}

/** The parts that others look at, as far as they are open. */
export interface Node {
  readonly vault: OpenVault;
  readonly auditWriter: AuditWriter;
  /** What applications ask: refused until the books are read. */
  readonly requests: AppRequests;
  /** Who is at home where: what the doors and the key manager ask. */
  readonly applications: ApplicationTable;
  /** What the controller has told of it. */
  readonly directory: Directory;
  /** What node.toml says of homes, kept for the next start. */
  readonly homes: ConfiguredHomes;
  /** Who has certificates of another make. */
  readonly identities: Identities;
  /** The modules; undefined until the books are read. */
  links: NodeLinks | undefined;
  keys: KeyManager | undefined;
  /** Those that are closed unless they are configured. */
  more: MoreDoors | undefined;
  /** Connections open, by door. */
  connections: () => Readonly<Record<string, number>>;
  zeroised: boolean;
  readonly loop: LoopMeasure;
}

type Reporting = Pick<Base, "config" | "health" | "membership">;

/** What `status`, metrics and controllers show. */
export const report = (
  { config, health, membership }: Reporting,
  { vault, keys, links, directory }: Node,
): KmReport => ({
  ...reportOf(config.node.id, vault.vault.health(), keys, (link) => links?.source(link)?.status()),
  health: health.read(),
  ...(membership && { cluster: membership.report() }),
  ...(directory.facts().revision > 0 && { directory: directory.facts() }),
});
