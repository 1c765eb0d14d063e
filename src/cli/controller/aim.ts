// Which routes a controller wants each KM to use: cheapest by hops and stock, disjoint, some to spare. Pure.

import type { KmId } from "../../core/ids.ts";
import type { Route, RouteView, Topology, TopologyLink } from "../../core/topology/topology.ts";
import type { DestinationReport, LinkReport } from "./km-client.ts";

/** What one KM said; undefined of one that does not answer. */
export interface Polled {
  readonly id: string;
  readonly links: readonly LinkReport[];
  readonly destinations: readonly DestinationReport[];
}

/** Own blocks of an end below which a link is dry, and what its dryness costs, in hops. */
const DRY_BLOCKS = 4;
const DRY_COST = 2;
/** Routes beyond those that keys need, for when one fails. */
const SPARE = 1;

/** Routes by destination. */
export type Aim = ReadonlyMap<string, readonly Route[]>;

/** What a link costs in a route; infinite when an end says that it cannot be used. */
export function costOfLink(link: TopologyLink, ends: readonly LinkReport[]): number {
  const isUnusable = (end: LinkReport) =>
    end.agreement === "refused" || (end.line === "down" && end.usable_blocks === 0);
  if (ends.some(isUnusable)) return Number.POSITIVE_INFINITY;
  return link.cost + (ends.some((end) => end.usable_blocks < DRY_BLOCKS) ? DRY_COST : 0);
}

/** What each end that answers says of a link. */
export const endsOf = (link: TopologyLink, polled: readonly Polled[]): readonly LinkReport[] =>
  polled
    .filter(({ id }) => link.kms.includes(id as KmId))
    .flatMap(({ links }) => links.filter((one) => one.link === link.id));

/** Routes by KM and destination, of the KMs that answer. No routes: there is none now. */
export function aimOf(topology: Topology, polled: readonly Polled[]): ReadonlyMap<string, Aim> {
  const answering = new Set(polled.map(({ id }) => id));
  const costs = new Map(topology.links.map((link) => [link, costOfLink(link, endsOf(link, polled))]));
  const viewFor = (destination: string): RouteView => ({
    costOf: (link) => (costs.get(link) ?? link.cost) - link.cost,
    avoid: (from, to) => [from, to].some((end) => end !== destination && !answering.has(end)),
  });
  return new Map(
    polled.map(({ id, destinations }) => {
      const routes = destinations.map(({ km, paths }): [string, readonly Route[]] => [
        km,
        topology.routes(id as KmId, km as KmId, paths + SPARE, viewFor(km)),
      ]);
      return [id, new Map(routes)];
    }),
  );
}
