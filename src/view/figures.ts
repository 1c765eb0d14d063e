// The figures of the last hour: which are kept of a network, a KM and a link, and the plots made of them.

import type { KmSummary, LinkSummary, Plot, Series } from "./model.ts";
import type { KnownKm, KnownLink } from "./summaries.ts";
import type { Timeline } from "./timeline.ts";

/** More lines than these make a plot unreadable: then it shows sums, the highest and the lowest. */
const MOST_LINES = 6;
const MOST_PEERS = 12;
const MOST_APPS = 12;

const link = (id: string, what: string): string => `link/${id}/${what}`;
const km = (id: string, what: string): string => `km/${id}/${what}`;

/** What was heard of all KMs in one round. */
export interface Seen {
  readonly kms: readonly (KnownKm & { readonly summary: KmSummary; readonly appsPerS: ReadonlyMap<string, number> })[];
  readonly links: readonly (KnownLink & { readonly summary: LinkSummary })[];
}

/** Sets all figures of the step under way. */
export function setFigures(line: Timeline, { kms, links }: Seen): void {
  for (const { id, ends, summary } of links) {
    line.set(link(id, "rate"), summary.bitsPerS);
    line.set(
      link(id, "stated"),
      ends.find(({ told }) => told.stated_bits_per_s !== null)?.told.stated_bits_per_s ?? null,
    );
    line.set(link(id, "qber"), summary.qber);
    line.set(link(id, "usable"), ends.length === 0 ? null : summary.usableBlocks);
    for (const end of ends) line.set(link(id, `usable@${end.km}`), end.told.usable_blocks);
  }
  for (const one of kms) setKm(line, one);
  const qbers = links.flatMap(({ summary }) => summary.qber ?? []);
  line.set("net/rate", sum(links.map(({ summary }) => summary.bitsPerS ?? 0)));
  line.set("net/qber", qbers.length === 0 ? null : Math.max(...qbers));
  line.set("net/usable", sum(links.map(({ summary }) => summary.usableBlocks)));
  line.set("net/keys", sum(kms.map(({ keysPerS }) => keysPerS)));
  line.set("net/loop", Math.max(0, ...kms.map(({ said }) => said?.node.loop_delay_p99_ms ?? 0)));
}

function setKm(line: Timeline, { id, said, keysPerS, appsPerS }: Seen["kms"][number]): void {
  if (said === undefined) return;
  line.set(km(id, "keys"), keysPerS);
  line.set(km(id, "p50"), said.node.loop_delay_p50_ms);
  line.set(km(id, "p99"), said.node.loop_delay_p99_ms);
  line.set(km(id, "max"), said.node.loop_delay_max_ms);
  const stocks = said.peers.map((peer) => peer.stored_keys);
  line.set(km(id, "stock"), stocks.length === 0 ? null : sum(stocks));
  line.set(km(id, "least"), stocks.length === 0 ? null : Math.min(...stocks));
  if (said.peers.length <= MOST_PEERS)
    for (const peer of said.peers) line.set(km(id, `stock@${peer.km}`), peer.stored_keys);
  if (said.apps.length <= MOST_APPS) for (const [app, perS] of appsPerS) line.set(km(id, `app@${app}`), perS);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

type Lines = readonly (readonly [label: string, name: string])[];

/** The plots of the whole network. */
export function networkPlots(line: Timeline, { kms, links }: Seen): readonly Plot[] {
  const perLink = (what: string, total: string): Lines =>
    links.length <= MOST_LINES ? links.map(({ id }) => [id, link(id, what)]) : [[total, `net/${what}`]];
  const perKm = (what: string, total: Lines): Lines =>
    kms.length <= MOST_LINES ? kms.map(({ id }) => [id, km(id, what)]) : total;
  return [
    plot(line, "Secret key rate", "bit/s", perLink("rate", "all links")),
    plot(line, "QBER", "ratio", perLink("qber", "highest")),
    plot(line, "Link blocks ready to use", "blocks", perLink("usable", "all links")),
    plot(line, "Keys supplied and fetched", "keys/s", perKm("keys", [["all KMs", "net/keys"]])),
    plot(line, "Event loop delay, 99th percentile", "ms", perKm("p99", [["highest", "net/loop"]])),
  ];
}

/** Curves of one KM over the last hour. */
export function kmPlots(line: Timeline, seen: Seen, id: string): readonly Plot[] {
  const own = seen.links.filter((one) => one.kms.includes(id));
  const said = seen.kms.find((one) => one.id === id)?.said;
  const peers = said?.peers ?? [];
  const apps = said?.apps ?? [];
  const stock: Lines =
    peers.length <= MOST_PEERS
      ? peers.map((peer) => [peer.km === id ? "own applications" : peer.km, km(id, `stock@${peer.km}`)])
      : [
          ["all peers", km(id, "stock")],
          ["the least", km(id, "least")],
        ];
  const perApp: Lines = apps.length <= MOST_APPS ? apps.map(({ app }) => [app, km(id, `app@${app}`)]) : [];
  return [
    plot(
      line,
      "Secret key rate of its links",
      "bit/s",
      own.map((one) => [one.id, link(one.id, "rate")]),
    ),
    plot(
      line,
      "QBER of its links",
      "ratio",
      own.map((one) => [one.id, link(one.id, "qber")]),
    ),
    plot(line, "Keys in stock", "keys", stock),
    plot(line, "Keys per application", "keys/s", perApp.length > 0 ? perApp : [["all applications", km(id, "keys")]]),
    plot(line, "Event loop delay", "ms", [
      ["median", km(id, "p50")],
      ["99 %", km(id, "p99")],
      ["longest", km(id, "max")],
    ]),
  ];
}

/** Curves of one link over the last hour. */
export function linkPlots(line: Timeline, { kms, id }: KnownLink): readonly Plot[] {
  return [
    plot(line, "Secret key rate", "bit/s", [
      ["measured", link(id, "rate")],
      ["as the module states", link(id, "stated")],
    ]),
    plot(line, "QBER", "ratio", [["QBER", link(id, "qber")]]),
    plot(
      line,
      "Link blocks ready to use",
      "blocks",
      kms.map((end) => [end, link(id, `usable@${end}`)]),
    ),
  ];
}

const plot = (line: Timeline, title: string, unit: Plot["unit"], lines: Lines): Plot => ({
  title,
  unit,
  series: lines.map(([label, name]): Series => ({ label, values: line.read(name) })),
});
