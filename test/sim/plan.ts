// What a simulated network consists of, drawn from its seed: links, settings of each KM, and who talks with whom.

import { type AppId, appId, type KmId, kmId, linkId } from "../../src/core/ids.ts";
import { Topology as Graph } from "../../src/core/topology/topology.ts";
import type { KeysPolicy } from "../../src/keys/common/context.ts";
import type { AppEntry } from "../../src/keys/directory/application-table.ts";
import type { KeyManagerSettings } from "../../src/keys/manager/settings.ts";
import { DEFAULT_SESSIONS } from "../keys/support/policy.ts";
import { SHARES } from "./changes.ts";
import type { Dice } from "./dice.ts";
import type { Has } from "./ingredients.ts";
import { type Edge, randomTopology, type Topology } from "./topology.ts";

/** An application that asks for keys with another. */
export interface PlannedPair {
  readonly from: AppEntry;
  readonly to: AppEntry;
}

/** What both ends of a link are configured with. */
export interface PlannedLink {
  readonly blockBytes: number;
  readonly share: readonly [number, number];
}

export interface Plan {
  readonly topology: Topology;
  /** Of a link that says nothing else. */
  readonly blockBytes: number;
  readonly links: ReadonlyMap<string, PlannedLink>;
  readonly apps: readonly AppEntry[];
  readonly sharedPeers: readonly PlannedPair[];
  /** KMs that have a Kx connection. */
  readonly contacts: readonly (readonly [KmId, KmId])[];
  readonly settings: ReadonlyMap<KmId, KeyManagerSettings & { readonly id: KmId }>;
}

/** Marks run ahead by chunks of 4 KiB: only larger blocks show them. */
const BLOCK_BYTES = [4096, 4096, 16_384] as const;
const KEEP_BLOCKS = 32;
const QUOTA = { bitsPerS: 1e9, burstBits: 1e9 };
/** Beyond so many nodes only some of them have applications. */
const MOST_PAIRS = 60;
/** In the order of names, whose neighbours are near: a few hops. */
const FAR = 12;

export function planOf(nodes: number, dice: Dice, has: Has): Plan {
  const topology = randomTopology(nodes, dice.branch("topology"));
  const blockBytes = dice.pick(BLOCK_BYTES);
  const policy = policyOf(dice);
  const strangers = has("strict_peers") ? [FOREIGN] : [];
  const entries = [...topology.nodes, ...strangers].flatMap((node) => ["x", "y"].map((name) => appOf(node, name)));
  const sharedPeers = [
    ...pairsOf(topology, entries, dice.branch("sharedPeers")),
    ...strangers.flatMap((foreign) => pairsOfStrict(entries, topology.nodes[0] ?? "", foreign)),
  ];
  const busy = new Set(sharedPeers.flatMap(({ from, to }) => [from.home, to.home]));
  const apps = entries.filter(({ home }) => busy.has(home));
  const contacts = contactsOf(topology, sharedPeers);
  const common = {
    policy,
    apps,
    topology: topology.edges.map(({ link, a, b }) => ({ id: linkId(link), kms: [kmId(a), kmId(b)] as const, cost: 1 })),
  };
  const graph = new Graph(common.topology);
  const own = dice.branch("links");
  const linkOf = (): PlannedLink => ({
    blockBytes: has("mixed_blocks") ? own.pick(BLOCK_BYTES) : blockBytes,
    share: has("uneven_shares") ? own.pick(SHARES) : [1, 1],
  });
  const links = new Map(topology.edges.map(({ link }) => [link, linkOf()]));
  const settings = [...topology.nodes, ...strangers].map((name) => {
    const id = kmId(name);
    const peers = contacts.flatMap(([a, b]) => (a === id ? [b] : b === id ? [a] : []));
    // Parts of one KMA-key are blocks of one size.
    const twofold = peers.filter(
      (peer) => peer !== FOREIGN && !has("mixed_blocks") && dice.once(4) && graph.disjoint(id, peer) > 1,
    );
    const paths = new Map(twofold.map((peer) => [peer, 2]));
    const strict = new Map(peers.flatMap((peer) => (isStrict(id, peer) ? [[peer, fetchAppsOf(id)] as const] : [])));
    return [id, { ...common, id, links: linksOf(name, topology.edges, links), peers, paths, strict }] as const;
  });
  return { topology, blockBytes, links, apps, sharedPeers, contacts, settings: new Map(settings) };
}

/** A KM that proves nothing, as those around it think. */
const FOREIGN = kmId("km-s00");

const isStrict = (one: KmId, other: KmId): boolean => one === FOREIGN || other === FOREIGN;

/** Which application may fetch what the strict peer of a KM relays. */
const fetchAppsOf = (home: KmId) => ({ fetchApps: [appOf(home, "x").id] });

/** The same two applications both ways, for only one at each end may fetch. */
function pairsOfStrict(apps: readonly AppEntry[], near: string, foreign: KmId): readonly PlannedPair[] {
  const [one, other] = [near, foreign].map((name) => apps.find(({ id }) => id === appOf(name, "x").id));
  if (one === undefined || other === undefined) return [];
  return [
    { from: one, to: other },
    { from: other, to: one },
  ];
}

const appOf = (node: string, name: string): AppEntry => ({
  id: appId(`app-${node.slice(3)}${name}`) satisfies AppId,
  home: kmId(node),
  quota: QUOTA,
});

function policyOf(dice: Dice): KeysPolicy {
  return {
    defaultKeyBits: 256,
    timeoutMs: 5000,
    maxWaiting: 50,
    maxAgeMs: dice.between(5, 20) * 60_000,
    fetchWindowMs: dice.between(2, 6) * 60_000,
    relayTimeoutMs: dice.between(1, 5) * 1000,
    stockLow: 2,
    stockHigh: dice.between(3, 5),
    maxHeld: dice.between(24, 96),
    sessions: { ...DEFAULT_SESSIONS, idleMs: dice.between(1, 5) * 60_000 },
    epochMs: dice.between(4, 15) * 60_000,
  };
}

/** Neighbours, KMs far from one another, and applications of one KM. */
function pairsOf({ nodes, edges }: Topology, apps: readonly AppEntry[], dice: Dice): readonly PlannedPair[] {
  const at = (home: string): AppEntry => dice.pick(apps.filter((app) => app.home === home));
  const wanted = Math.min(MOST_PAIRS, 2 * edges.length);
  return Array.from({ length: wanted }, (): PlannedPair => {
    const edge = dice.pick(edges);
    const [a, b] = dice.once(2) ? [edge.a, edge.b] : [edge.b, edge.a];
    const from = at(a);
    const near = nodes.slice(Math.max(0, nodes.indexOf(a) - FAR), nodes.indexOf(a) + FAR);
    const far = dice.once(2) ? at(dice.pick(near)) : at(b);
    const other = apps.find(({ id, home }) => home === from.home && id !== from.id) ?? far;
    return { from, to: far.id === from.id ? other : far };
  });
}

/** Neighbours, and KMs whose applications talk to one another. */
function contactsOf({ edges }: Topology, sharedPeers: readonly PlannedPair[]): readonly (readonly [KmId, KmId])[] {
  const ends = [...edges.map(({ a, b }) => [a, b]), ...sharedPeers.map(({ from, to }) => [from.home, to.home])];
  const sorted = ends.map((pair) => pair.toSorted().map(kmId));
  const byName = new Map(sorted.map(([a, b]) => [`${a} ${b}`, [a, b] as const]));
  return [...byName.values()].flatMap(([a, b]) => (a === undefined || b === undefined || a === b ? [] : [[a, b]]));
}

function linksOf(
  name: string,
  edges: readonly Edge[],
  planned: ReadonlyMap<string, PlannedLink>,
): KeyManagerSettings["links"] {
  return edges
    .filter(({ a, b }) => a === name || b === name)
    .flatMap(({ link, a, b }) => {
      const both = planned.get(link);
      return both === undefined
        ? []
        : [{ ...both, id: linkId(link), peer: kmId(a === name ? b : a), keepBlocks: KEEP_BLOCKS }];
    });
}
