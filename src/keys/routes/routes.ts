// Over which KMs this KM's keys travel: as the QKDN controller has set, else as the topology has it.
//
// Room `routes`: over which KMs keys travel. The topology comes from the configuration, routes that the QKDN controller has
// set stand above it (`route-table`, durable); `route-choice` picks the next one by cost and stock and avoids hops that just
// failed (`hop-faults`); `relay-route` is a route as one KM on it sees it. Nothing is sent from here.

import type { KmId, LinkId } from "../../core/ids.ts";
import { type Route, type RouteView, Topology, type TopologyLink } from "../../core/topology/topology.ts";

export type { Route, RouteView, TopologyLink };

/** The routes to each destination: the controller's if it has set some, else the topology's. */
export class Routes {
  readonly self: KmId;
  #topology: Topology;
  readonly #set = new Map<KmId, readonly Route[]>();
  readonly #disjoint = new Map<KmId, number>();
  readonly #reachable = new Map<KmId, boolean>();

  /** @throws RangeError when a link has a negative cost or joins a KM with itself */
  constructor(self: KmId, topology: readonly TopologyLink[]) {
    this.self = self;
    this.#topology = new Topology(topology);
  }

  get topology(): Topology {
    return this.#topology;
  }

  /** The network is another from now on. What the controller has set stays. @throws RangeError as the constructor */
  change(topology: readonly TopologyLink[]): void {
    this.#topology = new Topology(topology);
    this.#disjoint.clear();
    this.#reachable.clear();
  }

  /**
   * Up to `paths` routes that share no KM, cheapest in sum and in this order; fewer when there are no more. What the
   * controller has set for the destination goes before the topology: then in order of priority.
   */
  find(destination: KmId, paths: number, view?: RouteView): readonly Route[] {
    const set = this.#set.get(destination);
    if (set !== undefined) return this.#choose(destination, paths, view ?? {}, set);
    return this.topology.routes(this.self, destination, paths, view);
  }

  /** Routes with a hop to avoid, or over links that the view leaves out, are passed over; dear ones come last. */
  #choose(destination: KmId, paths: number, view: RouteView, set: readonly Route[]): readonly Route[] {
    const free = set
      .map((route) => ({ route, extra: this.#extraCost([this.self, ...route, destination], view) }))
      .filter(({ extra }) => Number.isFinite(extra))
      .toSorted((a, b) => a.extra - b.extra)
      .map(({ route }) => route);
    return disjointOf(free, paths);
  }

  #extraCost(stops: readonly KmId[], view: RouteView): number {
    return stops.reduce((sum, to, at) => {
      const from = stops[at - 1];
      if (from === undefined) return sum;
      return view.avoid?.(from, to) ? Number.POSITIVE_INFINITY : sum + this.topology.extraCost(from, to, view);
    }, 0);
  }

  /** Whether any route leads there. The topology changes seldom, so what it says is looked up once. */
  reaches(destination: KmId): boolean {
    if (this.#set.has(destination)) return this.find(destination, 1).length > 0;
    const known = this.#reachable.get(destination) ?? this.find(destination, 1).length > 0;
    this.#reachable.set(destination, known);
    return known;
  }

  /** How many routes that share no KM the topology has at all. */
  disjoint(destination: KmId): number {
    const known = this.#disjoint.get(destination) ?? this.topology.disjoint(this.self, destination);
    this.#disjoint.set(destination, known);
    return known;
  }

  /** From the controller: routes for a destination in order of priority; undefined gives back to the topology. */
  set(destination: KmId, routes: readonly Route[] | undefined): void {
    if (routes === undefined) this.#set.delete(destination);
    else this.#set.set(destination, routes);
  }

  /** For which the controller has set routes. */
  get destinationsSet(): readonly KmId[] {
    return [...this.#set.keys()];
  }

  /** What the controller has set. */
  given(destination: KmId): readonly Route[] | undefined {
    return this.#set.get(destination);
  }
}

/** Two direct routes are the same. */
const shareKm = (a: Route, b: Route): boolean => (a.length === 0 && b.length === 0) || a.some((km) => b.includes(km));

/** Of routes in order of priority: of all sets that share no KM, the first of the largest, up to so many routes. */
export function disjointOf(routes: readonly Route[], most: number): readonly Route[] {
  let best: readonly Route[] = [];
  const extend = (chosen: readonly Route[], from: number): void => {
    if (chosen.length > best.length) best = chosen;
    for (let at = from; at < routes.length && best.length < most; at++) {
      const route = routes[at];
      if (route !== undefined && !chosen.some((one) => shareKm(one, route))) extend([...chosen, route], at + 1);
    }
  };
  extend([], 0);
  return best;
}

/** What the configuration knows of the network. */
interface Known {
  /** Our own. */
  readonly links: readonly { readonly id: LinkId; readonly peer: KmId }[];
  readonly topology?: readonly TopologyLink[];
  readonly strict?: { has(peer: KmId): boolean };
}

/** The topology with our own links, without strict peers, which send nothing on. */
export function wholeTopology(self: KmId, { links, topology = [], strict }: Known): readonly TopologyLink[] {
  const known = new Set(topology.map(({ id }) => id));
  const own = links
    .filter(({ id }) => !known.has(id))
    .map(({ id, peer }) => ({ id, kms: [self, peer] as const, cost: 1 }));
  return [...own, ...topology].filter(({ kms }) => !kms.some((km) => strict?.has(km)));
}
