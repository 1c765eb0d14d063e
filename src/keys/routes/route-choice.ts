// Which routes the next KMA-key for a destination takes: cheapest by hops and by the stock of own links, around what just failed.

import { Fault, type FaultCode } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { RouteView, TopologyLink } from "../../core/topology/topology.ts";
import type { Context } from "../common/context.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { HopFaults } from "./hop-faults.ts";
import type { Path } from "./relay-route.ts";
import type { Route, Routes } from "./routes.ts";

/** A link without key costs so many hops more; one whose module has been silent, so many that any way around is better. */
const DRY_COST = 2;
const SILENT_COST = 1000;
const SILENT_MS = 30_000;
/** Refusals that say something of the block: the next may do, but each costs one, and a peer that lies refuses them all. */
const OF_THE_BLOCK: readonly FaultCode[] = ["BAD_TAG", "BLOCK_NOT_HELD", "BLOCK_USED", "SERIAL_SEEN"];
/** Refusals of a destination that it would repeat on any route. */
const OF_THE_DESTINATION: readonly FaultCode[] = [
  "STORE_FULL",
  "HSM_UNAVAILABLE",
  "STORE_UNAVAILABLE",
  "STOPPING",
  "SERIAL_SEEN",
  "OUT_OF_BOUNDS",
];

/** One route of a KMA-key, or of a part of it, with the link whose block it is. */
export interface FirstHop {
  readonly route: Route;
  readonly path: Path;
  /** The neighbour that comes first. */
  readonly first: Peer;
  readonly link: LinkInventory;
}

/** What the choice of a route looks at: topology, links, peers, faults. */
export interface Surroundings {
  readonly routes: Routes;
  readonly faults: HopFaults;
  readonly links: ReadonlyMap<string, LinkInventory>;
  readonly peers: ReadonlyMap<KmId, Peer>;
  /** Routes over which each KMA-key for a destination travels in parts; 1 for no parts. */
  paths(destination: KmId): number;
}

interface Found {
  readonly situation: string;
  readonly given: readonly Route[] | undefined;
  readonly routes: readonly Route[];
}

/** Chooses the routes of the next KMA-key for a destination. */
export class RouteChoice {
  readonly #context: Context;
  readonly #around: Surroundings;
  /** Routes as they were found last, as long as nothing changes. */
  readonly #found = new Map<KmId, Found>();
  readonly #unseen = new Map<KmId, Found>();
  readonly #sources = new Map<KmId, { readonly routes: readonly Route[]; readonly links: readonly LinkInventory[] }>();
  readonly #lastFaults = new Map<KmId, Fault>();

  constructor(context: Context, around: Surroundings) {
    this.#context = context;
    this.#around = around;
  }

  /** The routes that the next KMA-key takes, as many as the destination wants; none when there are not so many now. */
  hops(destination: KmId): readonly FirstHop[] {
    const { faults } = this.#around;
    if (faults.isResting(destination, destination)) return [];
    const routes = this.#find(this.#found, destination, this.#situation(), this.#view);
    const hops = routes.flatMap((route) => this.#hop(destination, route) ?? []);
    const [first] = hops;
    const areAlike = hops.every(({ link }) => link.settings.blockBytes === first?.link.settings.blockBytes);
    return hops.length === this.#around.paths(destination) && areAlike ? hops : [];
  }

  /** Whether no hop has closed or failed since they were chosen. */
  areOpen(hops: readonly FirstHop[]): boolean {
    const { faults } = this.#around;
    return hops.every(
      ({ link, path }) =>
        this.#isOpen(link) && path.every((to, at) => at === 0 || !faults.isResting(path[at - 1] ?? to, to)),
    );
  }

  /** Whether a hop of theirs has failed lately and is being tried again: one relay is enough for that. */
  areDoubtful(destination: KmId, hops: readonly FirstHop[]): boolean {
    const { faults } = this.#around;
    return (
      faults.isDoubtful(destination, destination) ||
      hops.some(({ path }) => path.some((to, at) => at > 0 && faults.isDoubtful(path[at - 1] ?? to, to)))
    );
  }

  /** Topology, peers or links are others: everything is looked up anew. */
  forget(): void {
    for (const known of [this.#found, this.#unseen, this.#sources]) known.clear();
  }

  #find(known: Map<KmId, Found>, destination: KmId, situation: string, view?: RouteView): readonly Route[] {
    const { routes, paths } = this.#around;
    const given = routes.given(destination);
    const before = known.get(destination);
    if (before?.situation === situation && before.given === given) return before.routes;
    const found = routes.find(destination, paths(destination), view);
    known.set(destination, { situation, given, routes: found });
    return found;
  }

  /** From the link that has most. */
  #hop(destination: KmId, route: Route): FirstHop | undefined {
    const first = this.#around.peers.get(route[0] ?? destination);
    const [link] = first?.links.filter((one) => this.#isOpen(one)).sort((a, b) => b.usable - a.usable) ?? [];
    return first && link && { route, path: [this.#context.self, ...route, destination], first, link };
  }

  #isOpen({ agreement, settings }: LinkInventory): boolean {
    return agreement === "agreed" && this.#around.peers.get(settings.peer)?.isSynchronised === true;
  }

  readonly #view: RouteView = {
    costOf: ({ id }: TopologyLink) => {
      const link = this.#around.links.get(id);
      return link === undefined ? 0 : this.#extraCost(link);
    },
    avoid: (from, to) => this.#around.faults.isResting(from, to),
  };

  #extraCost(link: LinkInventory): number {
    if (!this.#isOpen(link)) return Number.POSITIVE_INFINITY;
    if (link.usable > 0) return 0;
    const silentMs = this.#context.clock.monotonicMs() - (link.rate.last ?? Number.NEGATIVE_INFINITY);
    return silentMs < SILENT_MS ? DRY_COST : SILENT_COST;
  }

  /** Everything that a choice depends on. */
  #situation(): string {
    const costs = this.#around.links.values().map((link) => this.#extraCost(link));
    return `${[...costs].join()} ${this.#around.faults.resting}`;
  }

  /** Links from which KMA-keys for a destination are taken when all is well; another list only when they have changed. */
  sources(destination: KmId): readonly LinkInventory[] {
    const routes = this.#find(this.#unseen, destination, "");
    const known = this.#sources.get(destination);
    if (known?.routes === routes) return known.links;
    const links = routes.flatMap((route) => this.#around.peers.get(route[0] ?? destination)?.links ?? []);
    this.#sources.set(destination, { routes, links });
    return links;
  }

  /** Why no key can ever come to a destination as things are configured, if so. */
  obstacle(destination: KmId): Fault | undefined {
    const paths = this.#around.paths(destination);
    const routes = this.#find(this.#unseen, destination, "");
    const { length } = routes;
    if (length >= paths) return paths > 1 ? this.#unlike(destination, routes) : undefined;
    if (length === 0) return new Fault("NO_ROUTE", { text: `no link and no route leads to ${destination}` });
    return new Fault("NO_ROUTE", {
      text: `keys for ${destination} are to travel over ${paths} routes that share no KM, and there are only ${length}`,
    });
  }

  /** Parts of one KMA-key are blocks of one size: a fault when the first links of the routes have none in common. */
  #unlike(destination: KmId, routes: readonly Route[]): Fault | undefined {
    const sizes = routes.map((route) => {
      const { links = [] } = this.#around.peers.get(route[0] ?? destination) ?? {};
      return new Set(links.map(({ settings }) => settings.blockBytes));
    });
    const common = sizes.reduce((all, some) => all.intersection(some));
    if (common.size > 0) return undefined;
    return new Fault("NO_ROUTE", {
      text: `keys for ${destination} are to travel in parts, and block_bytes of the links that they begin with differ`,
    });
  }

  /** Why no relay can begin now, if so. */
  drought(destination: KmId): Fault | undefined {
    const last = this.#lastFaults.get(destination);
    if (last === undefined || this.hops(destination).length > 0) return undefined;
    const at = last.failedAt === undefined ? "" : ` at ${last.failedAt}`;
    return new Fault("NO_ROUTE", {
      text: `no route to ${destination} works; the last key relay failed${at}: ${last.response}`,
      retryAfterMs: 1000,
    });
  }

  /** A relay failed: whatever the refusal, the hop that the fault names is avoided for a while, longer each time. */
  failed(path: Path, fault: Fault): void {
    const destination = path.at(-1);
    if (destination === undefined) return;
    this.#lastFaults.set(destination, fault);
    const named = path.indexOf(fault.failedAt as KmId);
    const [from, to] = path.slice(Math.max(0, named - 1), Math.max(2, named + 1));
    if (from === undefined || to === undefined) return;
    const isFinal = to === destination && OF_THE_DESTINATION.includes(fault.code);
    const first = OF_THE_BLOCK.includes(fault.code) ? "soon" : "later";
    this.#around.faults.note(isFinal ? to : from, to, fault.code, first);
  }

  succeeded(path: Path): void {
    const destination = path.at(-1);
    if (destination === undefined) return;
    this.#lastFaults.delete(destination);
    this.#around.faults.passed(destination, destination);
    for (const [at, to] of path.entries()) {
      const from = path[at - 1];
      if (from !== undefined) this.#around.faults.passed(from, to);
    }
  }
}
