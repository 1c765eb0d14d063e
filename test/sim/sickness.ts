// One KM that stays sick while all others are well: whoever does not need it is served.

import { Topology as Graph } from "../../src/core/topology/topology.ts";
import type { Workload } from "./apps.ts";
import type { SimNode } from "./node.ts";
import type { World } from "./world.ts";

const LONG_MS = 24 * 3_600_000;

const KINDS = ["off", "still", "no token", "no room", "no audit log", "mute"] as const;

/** Makes one KM sick. Returns the pairs that need it for nothing, and what makes it well. */
export function sicken(world: World): { readonly what: string; readonly healthy: readonly Workload[]; cure(): void } {
  const dice = world.dice.branch("sickness");
  const node = dice.pick(world.nodeList);
  const kind = dice.pick(KINDS);
  const untilMs = world.clock.nowMs + LONG_MS;
  // What a controller has set may lead through the sick one.
  for (const { km } of world.nodeList) {
    for (const destination of km?.routeAdmin.destinations ?? []) {
      if (km?.routeAdmin.given(destination) !== undefined) km.routeAdmin.giveBack(destination).catch(() => {});
    }
  }
  if (kind === "off") node.crash(true);
  else if (kind === "still") node.pause(LONG_MS);
  else if (kind === "no token") node.loseToken(LONG_MS);
  else if (kind === "no room") node.fullUntilMs = untilMs;
  else if (kind === "no audit log") node.audit.fail(true);
  else for (const wire of node.wires.values()) wire.mutedUntilMs.set(node.id, untilMs);
  const cure = (): void => {
    // One that was ended meanwhile waits for its token until the end of the sickness.
    if (node.isRunning && node.km === undefined) node.crash(true);
    for (const wire of node.wires.values()) wire.heal();
    node.pause(0);
    node.heal();
    node.boot();
  };
  return { what: `${node.id}: ${kind}`, healthy: healthyPairs(world, node), cure };
}

/** Pairs of other KMs, with a route around the sick one and no need for two. */
function healthyPairs(world: World, sick: SimNode): readonly Workload[] {
  const links = (sick.settings.topology ?? []).filter(({ kms }) => !kms.includes(sick.id));
  const graph = new Graph(links);
  return world.sharedPeers.filter(({ pair: { at, toAt }, needs }) => {
    // Where several are needed a way around is not looked for.
    if (at === sick || toAt === sick || needs !== undefined) return false;
    if (at === toAt || at.isStrict(toAt.id)) return true;
    const needsTwo = [at, toAt].some(({ settings }) => (settings.paths?.size ?? 0) > 0);
    return !needsTwo && graph.has(at.id) && graph.has(toAt.id) && graph.routes(at.id, toAt.id, 1).length > 0;
  });
}
