// The audit log of one KM: opened behind the vault, closed before it, told of the start and of the end.

import { readFileSync } from "node:fs";
import type { NodeConfig } from "../config.ts";
import type { Witness } from "../control/audit/audit-log.ts";
import { AuditWriter, auditedMeter, digestOf, LateAudit } from "../control/audit/audit-writer.ts";
import type { Metrics } from "../control/metrics/metrics.ts";
import type { SyslogCopy } from "../control/syslog/syslog.ts";
import type { Audit, Clock, Log } from "../core/ports.ts";
import type { OpenVault } from "../vault/open.ts";
import { auditNameOf, limitsOf } from "./settings.ts";

/** Row of the store that keeps the place of the log; of each member of a KM its own. */
const rowOf = ({ cluster }: NodeConfig) => ({ table: "audit", id: `last${cluster ? `.${cluster.member}` : ""}` });

/** What is given to the parts before the log can be open. */
export function lateAudit<Given extends { readonly metrics: Metrics }>(
  given: Given,
): Given & { readonly audit: LateAudit } {
  const audit = new LateAudit();
  return { ...given, audit, metrics: { ...given.metrics, meter: auditedMeter(given.metrics.meter, audit) } };
}

interface Ports {
  readonly config: NodeConfig;
  readonly live: { readonly current: NodeConfig };
  readonly audit: LateAudit;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
  readonly syslog: SyslogCopy | undefined;
}

/** @throws Error when the folder cannot be used */
export async function openAudit(
  { config, live, audit, metrics, clock, log, syslog }: Ports,
  { vault, useToken, ready }: OpenVault,
): Promise<AuditWriter> {
  const { node } = config;
  const row = rowOf(config);
  const auditWriter = await AuditWriter.open(
    { km: auditNameOf(config), ...config.audit, maxBytes: limitsOf(live).auditBytes },
    {
      useToken,
      stored: witnessOf(vault, row),
      store: (witness) =>
        vault
          .change()
          .put(row.table, row.id, { ...witness })
          .commit(),
      clock,
      log,
      meter: metrics.meter,
      ...(syslog && { durable: (lines) => syslog.audited(lines) }),
    },
  );
  audit.open(auditWriter.audit);
  audit.note("started", {
    km: node.id,
    version: packageVersion(),
    board: node.board,
    configuration: digestOf(readFileSync(config.file)),
  });
  noteToken(audit, vault);
  // It rejects when the vault is closed before.
  ready.then(() => auditWriter.tokenReady()).catch(() => {});
  return auditWriter;
}

/** The version of this program, as its package.json names it. */
export const packageVersion = (): string =>
  String(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version);

function witnessOf(vault: OpenVault["vault"], at: ReturnType<typeof rowOf>): Witness | undefined {
  const [, row] = [...vault.rows(at.table)].find(([id]) => id === at.id) ?? [];
  if (typeof row?.sequence !== "number" || typeof row.hash !== "string") return undefined;
  return { sequence: row.sequence, hash: row.hash };
}

/** The security module came or went. */
function noteToken(audit: Audit, vault: OpenVault["vault"]): void {
  let before = vault.health().token;
  vault.onHealth(() => {
    const { token: state } = vault.health();
    if (state !== before) audit.note("token", { state });
    before = state;
  });
}
