// The graph of the network: KMs, the links between them, and the cheapest routes that share no KM.

import { compareIds, type KmId, type LinkId } from "../ids.ts";
import { disjointWays, type Graph, type Hop } from "./route-search.ts";

/** A QKD link of the network; `cost` is at least 0. */
export interface TopologyLink {
  readonly id: LinkId;
  readonly kms: readonly [KmId, KmId];
  readonly cost: number;
}

/** The KMs between, in order; empty for a neighbour. */
export type Route = readonly KmId[];

/** How the network looks to one search; both are asked at most once for each hop, and answer the same for one search. */
export interface RouteView {
  /** Adds to a link's own cost, such as for one without stock; infinite leaves the link out. */
  costOf?(link: TopologyLink): number;
  /** Leaves a hop out, such as one that has just failed. */
  avoid?(from: KmId, to: KmId): boolean;
}

/** Costs count in 1/1024, and below them the hops, so that of two equal routes the shorter wins. Sums stay exact. */
const COST_UNIT = 2 ** 10;
const HOP_UNIT = 2 ** 12;
/** Links that cost more are left out. */
const LARGEST_COST = 1e6;

/** The links between two neighbours, in one direction. */
interface Edge {
  readonly to: number;
  readonly links: TopologyLink[];
}

/** The KMs of a network and the links between them; read-only, searched by `route-search.ts`. */
export class Topology {
  readonly links: readonly TopologyLink[];
  /** In the order of their IDs. */
  readonly kms: readonly KmId[];
  readonly #numbers: ReadonlyMap<KmId, number>;
  readonly #edges: readonly Edge[][];
  /** Without a view. */
  readonly #plain: Graph;

  /** @throws RangeError when a link has a negative cost or joins a KM with itself */
  constructor(links: readonly TopologyLink[]) {
    this.links = links;
    this.kms = [...new Set(links.flatMap(({ kms }) => kms))].toSorted(compareIds);
    this.#numbers = new Map(this.kms.map((km, number) => [km, number]));
    this.#edges = this.kms.map(() => []);
    for (const link of links.toSorted((a, b) => compareIds(a.id, b.id))) this.#join(link);
    for (const edges of this.#edges) edges.sort((a, b) => a.to - b.to);
    this.#plain = this.#graph({});
  }

  #join(link: TopologyLink): void {
    const [a, b] = link.kms;
    if (a === b || !(link.cost >= 0)) throw new RangeError(`link ${link.id} between ${a} and ${b} costs ${link.cost}`);
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const edges = this.#edges[this.#number(from)] ?? [];
      const other = this.#number(to);
      const edge = edges.find((one) => one.to === other);
      if (edge === undefined) edges.push({ to: other, links: [link] });
      else edge.links.push(link);
    }
  }

  #number(km: KmId): number {
    return this.#numbers.get(km) ?? -1;
  }

  has(km: KmId): boolean {
    return this.#numbers.has(km);
  }

  areNeighbours(a: KmId, b: KmId): boolean {
    const other = this.#number(b);
    return this.#edges[this.#number(a)]?.some(({ to }) => to === other) ?? false;
  }

  /** Up to `paths` routes that share no KM, cheapest in sum and in this order; fewer when there are no more. */
  routes(from: KmId, to: KmId, paths: number, view?: RouteView): readonly Route[] {
    if (!this.has(from) || !this.has(to)) return [];
    const [source, target] = [this.#number(from), this.#number(to)];
    const graph = view === undefined ? this.#plain : this.#graph(view);
    const costOf = (way: readonly number[]): number => {
      const hops = [...way, target].entries();
      return hops.reduce((sum, [at, to]) => {
        const from = way[at - 1] ?? source;
        return sum + (graph.hops(from).find((hop) => hop.to === to)?.cost ?? 0);
      }, 0);
    };
    return disjointWays(graph, source, target, paths)
      .map((way) => ({ cost: costOf(way), first: way[0] ?? target, way }))
      .toSorted((a, b) => a.cost - b.cost || a.first - b.first)
      .map(({ way }) => way.flatMap((number) => this.kms[number] ?? []));
  }

  #graph(view: RouteView): Graph {
    const known: (readonly Hop[] | undefined)[] = new Array(this.kms.length);
    return {
      nodes: this.kms.length,
      hops: (number) => {
        const found = known[number] ?? this.#hops(number, view);
        known[number] = found;
        return found;
      },
    };
  }

  #hops(number: number, view: RouteView): readonly Hop[] {
    const from = this.kms[number];
    if (from === undefined) throw new RangeError(`there is no KM number ${number}`);
    const hops: Hop[] = [];
    for (const { to, links } of this.#edges[number] ?? []) {
      const other = this.kms[to];
      let cost = Number.POSITIVE_INFINITY;
      for (const link of links) cost = Math.min(cost, link.cost + extraOf(link, view));
      if (cost > LARGEST_COST || other === undefined || view.avoid?.(from, other)) continue;
      hops.push({ to, cost: Math.round(cost * COST_UNIT) * HOP_UNIT + 1 });
    }
    return hops;
  }

  /** What a view adds to a hop over its best link; 0 where the topology has none. */
  extraCost(from: KmId, to: KmId, view: RouteView): number {
    const other = this.#number(to);
    const edge = this.#edges[this.#number(from)]?.find((one) => one.to === other);
    return edge === undefined ? 0 : Math.min(...edge.links.map((link) => extraOf(link, view)));
  }

  /** How many routes that share no KM there are at all. */
  disjoint(from: KmId, to: KmId): number {
    return this.routes(from, to, Number.POSITIVE_INFINITY).length;
  }
}

function extraOf(link: TopologyLink, view: RouteView): number {
  const extra = view.costOf?.(link) ?? 0;
  if (extra >= 0) return extra;
  throw new RangeError(`the cost of link ${link.id} must not fall by ${extra}`);
}
