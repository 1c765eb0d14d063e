// One KM or one link in detail, as facts and tables. Pure.

import { amountText, bitRateText, durationText, percentText } from "./figures-text.ts";
import type { Cell, Detail, DetailTable } from "./model.ts";
import type { KnownKm, KnownLink, LinkTold, Overview } from "./summaries.ts";

const text = (value: string | number): Cell => ({ text: typeof value === "number" ? amountText(value) : value });
const marked = (value: string, mark: NonNullable<Cell["mark"]>): Cell => ({ text: value, mark });
const goodIf = (condition: boolean, value: string): Cell => marked(value, condition ? "good" : "bad");

/** What the page shows of one KM. */
export function kmDetail({ id, said, silence }: KnownKm, nowMs: number): Detail {
  if (said === undefined)
    return { title: id, facts: [["state", marked(`does not answer: ${silence}`, "bad")]], tables: [] };
  return {
    title: id,
    facts: factsOf(said, nowMs),
    tables: [
      ...membersOf(said),
      peersOf(said),
      modulesOf(said.links),
      table(
        "Applications",
        ["application", "supplied", "fetched"],
        said.apps.map(({ app, supplied, fetched }) => [text(app), text(supplied), text(fetched)]),
      ),
      sessionsOf(said),
      certificatesOf(said, nowMs),
    ],
  };
}

function factsOf({ node }: Overview, nowMs: number): Detail["facts"] {
  return [
    ["security module", goodIf(node.token === "ready", node.token)],
    ["key store", goodIf(node.store === "ready", node.store)],
    ...(node.cluster ? [["etcd", goodIf(node.cluster.etcd === "ready", node.cluster.etcd)] as const] : []),
    ["sealing", text(`${node.seal}, KEK epoch ${node.epoch}`)],
    [
      "health",
      node.healthy ? marked("every part is alive", "good") : marked(`silent: ${node.silent.join(", ")}`, "bad"),
    ],
    ["up for", text(durationText(nowMs - Date.parse(node.started_at)))],
    ["version", text(`qkm ${node.version} on ${node.board}`)],
    ["memory", text(`${amountText(Math.round(node.memory_bytes / 1e6))} MB`)],
    [
      "loop delay",
      text(`median ${node.loop_delay_p50_ms.toFixed(1)} ms, 99 % ${node.loop_delay_p99_ms.toFixed(1)} ms`),
    ],
    ["requests waiting", node.waiting === 0 ? text("none") : marked(amountText(node.waiting), "warn")],
    ["keys supplied, fetched", text(`${amountText(node.keys_supplied)}, ${amountText(node.keys_fetched)}`)],
  ];
}

const table = (title: string, columns: readonly string[], rows: DetailTable["rows"]): DetailTable => ({
  title,
  columns,
  rows,
});

/** Of a KM that is several machines: the member that answers, and those that it knows. */
function membersOf({ node: { km, cluster } }: Overview): readonly DetailTable[] {
  // A KM of an earlier version does not tell of it at all.
  if (!cluster) return [];
  const { member, state, generation, lag_ms, lease_left_ms, others } = cluster;
  const lag = lag_ms === 0 ? marked("nothing", "good") : marked(secondsText(lag_ms), "warn");
  const lease = marked(secondsText(lease_left_ms), lease_left_ms > 0 ? "good" : "bad");
  const rows = others.map((other) => [
    text(`${km}.${other.member}`),
    text(other.state),
    text("–"),
    other.behind === 0 ? marked("nothing", "good") : marked(`${amountText(other.behind)} writes`, "warn"),
    text("–"),
  ]);
  if (others.length === 0) rows.push([marked("no other member runs", "warn"), ...["–", "–", "–", "–"].map(text)]);
  const columns = ["member", "state", "generation", "lags by", "lease left"];
  return [table("Members", columns, [[text(`${km}.${member}`), text(state), text(generation), lag, lease], ...rows])];
}

const secondsText = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function peersOf({ node, peers }: Overview): DetailTable {
  const columns = ["KM", "Kx", "keys in stock", "KMA-keys", "held", "relays ready", "failed", "waiting"];
  const rows = peers.map((peer) => [
    text(peer.km === node.km ? "own applications" : peer.km),
    peer.synchronised ? marked("synchronised", "good") : marked(peer.connected ? "synchronising" : "away", "bad"),
    peer.stored_keys > 0 ? text(peer.stored_keys) : marked("0", "warn"),
    ...[peer.kma_keys, peer.held, peer.relays_ready, peer.relays_failed, peer.waiting].map(text),
  ]);
  return table("Peers", columns, rows);
}

function modulesOf(links: readonly LinkTold[]): DetailTable {
  const columns = ["link", "peer", "line", "module", "key rate", "QBER", "blocks", "usable", "alarms"];
  return table(
    "Modules",
    columns,
    links.map((link) => [text(link.link), text(link.peer), ...endCells(link)]),
  );
}

/** Line, module, key rate, QBER, blocks, usable, alarms. */
const endCells = (link: LinkTold): readonly Cell[] => [
  goodIf(link.line === "up", link.line),
  text(link.module ?? "–"),
  text(bitRateText(link.measured_bits_per_s > 0 ? link.measured_bits_per_s : link.stated_bits_per_s)),
  text(percentText(link.qber)),
  text(link.stored_blocks),
  text(link.usable_blocks),
  alarmsOf(link),
];

function alarmsOf({ alarms, agreement }: LinkTold): Cell {
  const all = [...alarms, ...(agreement === "agreed" ? [] : [agreement])];
  return all.length === 0 ? text("none") : marked(all.join(", "), "warn");
}

function sessionsOf({ sessions }: Overview): DetailTable {
  const columns = ["session", "from", "to", "state", "keys", "idle"];
  const rows = sessions.map((session) => [
    text(session.session),
    text(session.initiator),
    text(session.destination),
    text(session.state),
    text(`${amountText(session.supplied)} of ${amountText(session.budget)}`),
    text(durationText(session.idle_ms)),
  ]);
  return table("Sessions", columns, rows);
}

const DAY_MS = 86_400_000;
const [WARN_DAYS, BAD_DAYS] = [30, 7];

function certificatesOf({ certificates }: Overview, nowMs: number): DetailTable {
  const rows = certificates.map(({ door, use, subject, not_after, file }) => {
    const days = Math.floor((Date.parse(not_after) - nowMs) / DAY_MS);
    const when = `${not_after.slice(0, 10)} (${days < 0 ? "expired" : `${amountText(days)} days`})`;
    return [
      text(door),
      text(use === "own" ? "shows" : "trusts"),
      text(subject),
      marked(when, days < BAD_DAYS ? "bad" : days < WARN_DAYS ? "warn" : "good"),
      text(file),
    ];
  });
  return table("Certificates", ["door", "use", "subject", "good until", "file"], rows);
}

/** What the page shows of one link, end by end. */
export function linkDetail(link: KnownLink): Detail {
  const { id, kms, ends } = link;
  const columns = ["end", "line", "module", "key rate", "QBER", "blocks", "usable", "alarms", "pads out", "pads in"];
  const rows = ends.map(({ km, told }) => [
    text(km),
    ...endCells(told),
    text(`${amountText(Math.round(told.pad_bytes_out / 1024))} KiB`),
    text(`${amountText(Math.round(told.pad_bytes_in / 1024))} KiB`),
  ]);
  const [first] = ends;
  return {
    title: `${id}: ${kms.join(" ══ ")}`,
    facts: [
      ["ends that answer", goodIf(ends.length === 2, `${ends.length} of 2`)],
      ["block size", text(first === undefined ? "–" : `${amountText(first.told.block_bytes)} bytes`)],
      ["agreement", first === undefined ? text("–") : goodIf(first.told.agreement === "agreed", first.told.agreement)],
    ],
    tables: [table("Ends", columns, rows)],
  };
}
