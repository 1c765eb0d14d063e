// `show`: what the node and its key manager are and do, as tables.

import { bitRate, byteCount, percent } from "../../core/text/figures.ts";
import type { PeerFacts } from "../../keys/report.ts";
import type { KmFacts, LinkFacts } from "../node.ts";
import type { Session } from "../session.ts";
import { sparkline } from "../terminal/sparkline.ts";
import { list, table } from "../terminal/table.ts";
import type { Command } from "./command.ts";

/** Columns of a sparkline in a table. */
const SPARK = 16;
const AUDIT_SHOWN = 20;
const AUDIT_MOST = 500;

type Lines = (session: Session, args: readonly string[]) => Promise<readonly string[]>;

/** A command that shows lines and changes nothing. */
const show = (what: string, about: string, lines: Lines, args: Command["args"] = []): Command => ({
  words: ["show", what],
  args,
  role: "auditor",
  about,
  run: async (session, given) => await session.print(await lines(session, given)),
});

const yesNo = (is: boolean): string => (is ? "yes" : "no");
const orNone = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? ["none"] : lines);

/** What there is to complain of, of a link. */
export const complaintsOf = ({ alarms, agreement }: LinkFacts): string =>
  [...alarms, ...(agreement === "agreed" || alarms.includes("out-of-use") ? [] : [agreement])].join(" ");

/** In a word. */
export function stateOf({ ready, vault, health, cluster }: KmFacts): string {
  // A standby has no token open and no key in memory.
  if (cluster?.state === "standby") return "standby";
  if (vault.token !== "ready") return `token ${vault.token}`;
  if (vault.store !== "ready") return `store ${vault.store}`;
  if (health?.healthy === false) return "stuck";
  return ready ? "ready" : "starting";
}

/** How a peer stands, in a word or two. */
export function peerState({ reachable, connected, synchronised, strict }: PeerFacts): string {
  if (!reachable) return "no route";
  if (!connected) return "away";
  if (!synchronised) return "synchronising";
  return strict ? "ready, strict" : "ready";
}

async function statusLines({ node }: Session): Promise<readonly string[]> {
  const facts = await node.km.status();
  const { vault, health, sessions, links, peers } = facts;
  const silent = health?.parts.filter((part) => !part.healthy).map(({ name }) => name) ?? [];
  const up = links.filter(({ line, agreement }) => line === "up" && agreement === "agreed").length;
  return list([
    ["key manager", facts.km],
    ["board", `${node.board}, qkm ${node.version}`],
    ["state", stateOf(facts)],
    ["token", `${vault.token}, epoch ${vault.epoch}, seals ${vault.mode}`],
    ...(vault.tokenReason === undefined ? [] : [["", vault.tokenReason] as const]),
    ["store", vault.store],
    ["memory", `${vault.slots.pinned + vault.slots.intake} of ${vault.slots.all} block slots in use`],
    ["health", silent.length === 0 ? "every part answers" : `silent: ${silent.join(", ")}`],
    ["links", `${up} of ${links.length} in use`],
    ["peers", `${peers.filter(({ synchronised }) => synchronised).length} of ${peers.length} ready`],
    ["sessions", `${sessions.initiator} opened here, ${sessions.destination} opened elsewhere`],
  ]);
}

async function clusterLines({ node }: Session): Promise<readonly string[]> {
  const { km, cluster } = await node.km.status();
  if (cluster === undefined) return ["this key manager is one machine"];
  const { member, state, generation, lagMs, leaseLeftMs, etcd, others } = cluster;
  const rows = others.map((other) => [
    `${km}.${other.member}`,
    other.state,
    ...["–", other.behind === 0 ? "nothing" : `${other.behind.toLocaleString("en")} writes`, "–"],
  ]);
  const own = [`${km}.${member}`, state, String(generation), lagMs === 0 ? "nothing" : seconds(lagMs)];
  return [
    ...table(["member", "state", "generation", "lags by", "lease left"], [[...own, seconds(leaseLeftMs)], ...rows]),
    ...(others.length === 0 ? ["no other member runs"] : []),
    ...(etcd === "ready" ? [] : ["etcd does not answer"]),
  ];
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function linkLines({ node, rates }: Session): Promise<readonly string[]> {
  const { links } = await node.km.status();
  const rows = links.map((link) => [
    link.id,
    link.peer,
    link.line,
    percent(link.qber),
    bitRate(link.measuredBitsPerS),
    sparkline(rates.of(link.id), SPARK),
    String(link.stored),
    complaintsOf(link),
  ]);
  return orNone(table(["link", "peer", "line", "QBER", "key rate", "lately".padStart(SPARK), "blocks", ""], rows));
}

async function moduleLines({ node }: Session): Promise<readonly string[]> {
  const facts = await node.km.status();
  const modules = node.modules();
  const rows = facts.links.map(({ id, line, module, keyRateBitsPerS, alarms }) => {
    const place = modules.find(({ link }) => link === id);
    const name = module ?? "–";
    return [id, place?.port ?? "–", place?.driver ?? "–", line, name, bitRate(keyRateBitsPerS), alarms.join(" ")];
  });
  return orNone(table(["link", "port", "driver", "line", "module", "states", ""], rows));
}

async function stockLines({ node }: Session): Promise<readonly string[]> {
  const { km, peers, links } = await node.km.status();
  const rows = peers.map(({ id, storedKeys, kmaKeys, held, inFlight, waiting }) => [
    id === km ? `${id} (own)` : id,
    ...[storedKeys, kmaKeys, held, inFlight, waiting].map((count) => count.toLocaleString("en")),
  ]);
  const blocks = links.map(({ id, stored, usable, blockBytes, padBytes }) => [
    id,
    String(stored),
    String(usable),
    byteCount(stored * blockBytes),
    byteCount(padBytes.out),
    byteCount(padBytes.in),
  ]);
  const stock = table(["keys with", "keys", "KMA-keys", "held", "on the way", "requests"], rows);
  const link = table(["link", "blocks", "usable", "in all", "pads out", "pads in"], blocks);
  return [...stock, ...(link.length > 0 ? ["", ...link] : [])];
}

async function sessionLines({ node }: Session): Promise<readonly string[]> {
  const rows = (await node.km.sessions()).map((one) => [
    one.id,
    one.role,
    one.initiator,
    one.destination,
    one.peer,
    one.state,
    `${one.spent}/${one.budget}`,
    `${Math.round(one.idleMs / 1000)} s`,
  ]);
  return orNone(table(["session", "role", "from", "to", "peer", "state", "keys", "idle"], rows));
}

async function peerLines({ node }: Session): Promise<readonly string[]> {
  const { km, peers } = await node.km.status();
  const rows = peers
    .filter(({ id }) => id !== km)
    .map((peer) => [
      peer.id,
      peerState(peer),
      yesNo(peer.connected),
      yesNo(peer.synchronised),
      String(peer.kmaKeys),
      String(peer.held),
    ]);
  return orNone(table(["peer", "state", "connected", "synchronised", "KMA-keys", "held"], rows));
}

const fieldText = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(" ");

/** `2026-01-31T12:34:56.789Z` without the parts below a second. */
const second = (time: string): string => time.slice(0, 19).replace("T", " ");

const DAY_MS = 86_400_000;
const USES = { own: "shown", trust: "trusted", crl: "list" } as const;

/** What expires first stands first; one that several doors have stands once. */
async function certificateLines({ node }: Session): Promise<readonly string[]> {
  const found = await node.km.certificates();
  const known = Map.groupBy(found, ({ use, name, subject, until }) => [use, name, subject, until].join("\n"));
  const rows = [...known.values()]
    .flatMap(([one, ...others]) => (one === undefined ? [] : [{ ...one, doors: [one, ...others] }]))
    .toSorted((a, b) => Date.parse(a.until) - Date.parse(b.until))
    .map(({ use, name, subject, until, doors }) => {
      const days = Math.floor((Date.parse(until) - Date.now()) / DAY_MS);
      const where = [...new Set(doors.map(({ door }) => door))].join(" ");
      return [name, subject, USES[use], until.slice(0, 10), days < 0 ? "expired" : String(days), where];
    });
  return orNone(table(["certificate", "subject", "as", "good until", "days", "at"], rows));
}

async function faultLines({ node }: Session): Promise<readonly string[]> {
  const faults = await node.km.faults();
  return orNone(
    faults.flatMap(({ level, time, message, fields }) => {
      const { err, ...plain } = fields;
      const cause = typeof err === "object" && err !== null && "message" in err ? `: ${String(err.message)}` : "";
      const rest = fieldText(plain);
      return [`${second(time)} ${level}  ${message}${cause}`, ...(rest === "" ? [] : [`    ${rest}`])];
    }),
  );
}

async function auditLines({ node }: Session, [count, part = ""]: readonly string[]): Promise<readonly string[]> {
  const entries = await node.audit(countOf(count, AUDIT_SHOWN, AUDIT_MOST), part);
  return orNone(entries.map(({ time, event, fields }) => `${second(time)} ${event}  ${fieldText(fields)}`));
}

async function metricLines({ node }: Session, [part = ""]: readonly string[]): Promise<readonly string[]> {
  const lines = (await node.km.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return orNone(lines.filter((line) => line.includes(part)));
}

/** @throws Error when it is no whole number from 1 to `most` */
export function countOf(text: string | undefined, usual: number, most: number): number {
  const count = text === undefined ? usual : Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new Error(`a number from 1 to ${most} is wanted`);
}

const COUNT = { name: "N", about: "how many lines", optional: true } as const;
const PART = { name: "PART", about: "only those that have this in them", optional: true } as const;

/** Commands that only look. */
export const SHOW: readonly Command[] = [
  show("status", "the key manager, its token, store and memory", statusLines),
  show("links", "links with their QBER, key rate and blocks", linkLines),
  show("modules", "QKD modules and where they are plugged in", moduleLines),
  show("stock", "keys in stock, by the KM they are shared with", stockLines),
  show("sessions", "open sessions of applications", sessionLines),
  show("peers", "other KMs and their connections", peerLines),
  show("certificates", "certificates, anchors and revocation lists, and when they expire", certificateLines),
  show("cluster", "members of a key manager that is several machines", clusterLines),
  show("faults", "the last warnings and errors since the start", faultLines),
  show("audit", "the end of the audit log", auditLines, [COUNT, PART]),
  show("metrics", "counters and gauges", metricLines, [PART]),
  show("configuration", "the node's configuration file", async ({ node }) => node.configuration().split("\n")),
];
