// KMs and their links as tables, for `qkm status` and the live table.

import type { ClusterReport, KmReport, LinkReport } from "../../control/status.ts";
import { bitRate, byteCount, percent } from "../../core/text/figures.ts";
import type { PeerFacts } from "../../keys/report.ts";
import { columns, count } from "./columns.ts";
import type { KeyCounts } from "./control.ts";

/** One KM as far as it is known; `report` is undefined when it does not answer. */
export interface KmView {
  readonly id: string;
  readonly pid: number | undefined;
  readonly report: KmReport | undefined;
  readonly counts: KeyCounts | undefined;
}

/** Why the report or the counts are not there, in a sentence. */
export interface Missing {
  readonly report?: string;
  readonly counts?: string;
}

/** One line for each figure that the tables have no value for, and why. */
export function whyMissing(kms: readonly (KmView & { readonly missing: Missing })[]): string[] {
  return kms.flatMap(({ id, report, counts, missing }) => {
    if (report === undefined) return [`${id}: no answer: ${missing.report ?? "it does not run"}`];
    const links = report.links.flatMap(({ id: link, line, keyRateBitsPerS, qber }) => {
      const lacking = [...(keyRateBitsPerS === undefined ? ["key rate"] : []), ...(qber === undefined ? ["QBER"] : [])];
      if (lacking.length === 0) return [];
      const why = line === "up" ? "its module, or its box, has not told it" : `the line to its module is ${line}`;
      return [`${id}: link ${link} has no ${lacking.join(" and no ")}: ${why}`];
    });
    const lost =
      counts === undefined ? [`${id}: no numbers of keys supplied and fetched: ${missing.counts ?? ""}`] : [];
    return [...links, ...lost];
  });
}

const PEERS_SHOWN = 3;

/** What the columns of these tables mean, in lines of 80 columns. */
export const LEGEND: readonly string[] = [
  "line, blocks: at each end, in the order of `between`; blocks are stored QKD key",
  "as pads: link key used up to protect keys on their way to other KMs",
  "supplied, fetched: keys since the start; in stock: could be supplied at once,",
  "with applications of that KM; own: between applications of this KM",
];

/** One row for each KM, as the live table and `qkm status` show it. */
export function kmTable(kms: readonly KmView[]): string[] {
  const reasons = kms.flatMap(({ id, report }) =>
    report?.vault.tokenReason === undefined ? [] : [`${id}: ${report.vault.tokenReason}`],
  );
  const rows = kms.map(({ id, pid, report, counts }) => [
    id,
    pid === undefined || pid === 0 ? "–" : String(pid),
    stateOf(report),
    count(counts?.supplied),
    count(counts?.fetched),
    (report?.peers ?? [])
      .slice(0, PEERS_SHOWN)
      .map((peer) => stockOf(peer, id))
      .join(" · "),
  ]);
  const table = columns([["KM", "pid", "state", "supplied", "fetched", "keys in stock for"], ...rows]);
  return [...table, ...reasons];
}

function stateOf(report: KmReport | undefined): string {
  if (report === undefined) return "no answer";
  // A standby has no token open and no key in memory.
  if (report.cluster?.state === "standby") return "standby";
  const { token, store } = report.vault;
  if (token !== "ready") return `token ${token}`;
  if (store !== "ready") return `store ${store}`;
  if (report.health?.healthy === false) return "stuck";
  return report.ready ? "ready" : "starting";
}

function stockOf(peer: PeerFacts, self: string): string {
  const name = peer.id === self ? "own" : peer.id;
  if (!peer.connected) return `${name} away`;
  if (!peer.synchronised) return `${name} syncing`;
  return `${name} ${count(peer.storedKeys)}${peer.strict ? " strict" : ""}`;
}

/** One line for each KM that a controller has told a directory: what it has, and how old that is. */
export function directoryLines(kms: readonly KmView[]): string[] {
  return kms.flatMap(({ id, report }) => {
    if (report?.directory === undefined) return [];
    const { apps, revision, controller, toldMs, confirmedMs = 0 } = report.directory;
    const age = ageOf(Date.now() - Math.max(toldMs, confirmedMs));
    return [`${id}: directory of ${count(apps)} applications, revision ${revision}, told by ${controller} ${age} ago`];
  });
}

/** In the largest unit that it fills. */
function ageOf(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} days`;
}

/** Members of KMs that are several machines: what each says of itself, or else what another says of it; nothing where there are none. */
export function memberTable(kms: readonly KmView[]): string[] {
  const reports = kms.flatMap(({ report }) => (report?.cluster ? [{ km: report.km, cluster: report.cluster }] : []));
  const rows = new Map([
    ...reports.flatMap(({ km, cluster }) => cluster.others.map((other) => otherRow(km, other))),
    ...reports.map(({ km, cluster }) => ownRow(km, cluster)),
  ]);
  if (rows.size === 0) return [];
  const sorted = [...rows.values()].toSorted(([one = ""], [other = ""]) => one.localeCompare(other));
  return columns([["member", "state", "generation", "lags by", "lease left", "etcd"], ...sorted]);
}

type Row = readonly string[];

function ownRow(km: string, { member, state, generation, lagMs, leaseLeftMs, etcd }: ClusterReport): [string, Row] {
  const name = `${km}.${member}`;
  const lag = lagMs === 0 ? "nothing" : seconds(lagMs);
  return [name, [name, state, String(generation), lag, seconds(leaseLeftMs), etcd]];
}

function otherRow(km: string, { member, state, behind }: ClusterReport["others"][number]): [string, Row] {
  const name = `${km}.${member}`;
  return [name, [name, state, "–", behind === 0 ? "nothing" : `${count(behind)} writes`, "–", "–"]];
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** A link once, with what both ends say; ends that do not answer are left out. Pads: link key that relays over hops took. */
export function linkTable(kms: readonly KmView[]): string[] {
  const ends = new Map<string, (LinkReport & { readonly km: string })[]>();
  for (const { id, report } of kms) {
    for (const link of report?.links ?? []) ends.set(link.id, [...(ends.get(link.id) ?? []), { ...link, km: id }]);
  }
  const rows = [...ends].map(([id, reports]) => {
    const [first] = reports;
    return [
      id,
      reports.length > 1 ? reports.map(({ km }) => km).join(" ══ ") : `${first?.km} ══ ${first?.peer}`,
      reports.map(({ line }) => line).join("/"),
      bitRate(first?.keyRateBitsPerS),
      percent(first?.qber),
      reports.map(({ stored }) => stored).join("/"),
      byteCount(reports.reduce((sum, { padBytes }) => sum + padBytes.out, 0)),
      reports.flatMap(({ alarms, agreement }) => [...alarms, ...(agreement === "agreed" ? [] : [agreement])])[0] ?? "",
    ];
  });
  return columns([["link", "between", "line", "key rate", "QBER", "blocks", "as pads", "trouble"], ...rows]);
}
