// What operators and controllers change in a running network: routes, and the configuration that the next start takes up.

import type { KmId } from "../../src/core/ids.ts";
import type { KeyManagerSettings } from "../../src/keys/manager/settings.ts";
import type { Dice } from "./dice.ts";
import type { SimNode } from "./node.ts";

type Share = readonly [number, number];

/** Parts of a link's blocks that its two ends own. */
export const SHARES: readonly Share[] = [
  [1, 1],
  [2, 1],
  [1, 3],
  [5, 2],
];

/** Routes drawn for one destination, as a controller might think of them; or they are given back to the topology. */
export function setRoutes(node: SimNode, dice: Dice): string | undefined {
  const { km, parts } = node;
  const destinations = km?.routeAdmin.destinations ?? [];
  if (km === undefined || parts === undefined || destinations.length === 0) return undefined;
  const destination = dice.pick(destinations);
  // A store that rejects it leaves things as they were.
  const tried = (change: Promise<void>): void => void change.catch(() => {});
  if (dice.once(3)) {
    tried(km.routeAdmin.giveBack(destination));
    return `the routes to ${destination} are given back`;
  }
  const { routes } = parts;
  const given = [1, 2, 3].flatMap((paths) => routes.topology.routes(routes.self, destination, paths, odd(dice)));
  const different = new Map(given.map((route) => [route.join(" "), route]));
  if (different.size === 0) return undefined;
  tried(km.routeAdmin.set(destination, [...different.values()]));
  return `routes to ${destination}: ${[...different.keys()].map((route) => route || "direct").join(", ")}`;
}

/** A view in which some hops are out of the way. */
function odd(dice: Dice) {
  const known = new Map<string, boolean>();
  return {
    avoid: (from: KmId, to: KmId): boolean => {
      const hop = `${from} ${to}`;
      const isAvoided = known.get(hop) ?? dice.once(4);
      known.set(hop, isAvoided);
      return isAvoided;
    },
  };
}

/** The next start has other limits. Ages are left: a KM that keeps keys for a shorter time than its peer thinks is set up wrong. */
export function changedSettings(settings: KeyManagerSettings, dice: Dice): KeyManagerSettings {
  const { policy, links } = settings;
  const keepBlocks = dice.between(16, 48);
  return {
    ...settings,
    policy: {
      ...policy,
      relayTimeoutMs: dice.between(1, 5) * 1000,
      stockLow: dice.between(1, 3),
      stockHigh: dice.between(3, 6),
      maxHeld: dice.between(24, 96),
      epochMs: dice.between(4, 15) * 60_000,
    },
    links: links.map((link) => ({ ...link, keepBlocks })),
  };
}

/** The next start shares a link's blocks otherwise. */
export const withShare = (settings: KeyManagerSettings, id: string, share: Share): KeyManagerSettings => ({
  ...settings,
  links: settings.links.map((link) => (link.id === id ? { ...link, share } : link)),
});
