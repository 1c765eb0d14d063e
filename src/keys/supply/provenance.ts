// Keys of a kind: what of the stock fits an application's options for a route or an age.

import { Fault } from "../../core/fault.ts";
import type { Provenance } from "../../core/topology/provenance.ts";
import type { SupplyRequest } from "../ports/keys.ts";
import type { KeyDemand, Piece, SourceKey } from "./source-key.ts";
import type { SourceStock } from "./stock.ts";

/** Whether a KMA-key is such as asked for. */
type Fits = (key: SourceKey) => boolean;

/** `now` by the age clock. */
const fitsKind =
  ({ routeType, maxAgeMs }: Provenance, now: number): Fits =>
  ({ route, bornAt }) =>
    (routeType === undefined || route === routeType) && (maxAgeMs === undefined || now - bornAt <= maxAgeMs);

/** What to look for, best first; empty when the request does not mind. */
export function kindsOf({ only, rather }: SupplyRequest): readonly Provenance[] {
  if (only === undefined && rather === undefined) return [];
  const best = { ...rather, ...only };
  return only === undefined ? [best] : [best, only];
}

/** Why no keys of a kind are given: how old the youngest are, and when to ask again. `now` by the age clock. */
export function unmetFault(
  stock: SourceStock,
  { routeType, maxAgeMs }: Provenance,
  now: number,
  retryAfterMs: number,
): Fault {
  if (maxAgeMs === undefined || !stock.mayBring(routeType)) return new Fault("EXTENSION_UNMET");
  const retry = { retryAfterMs: Math.ceil(retryAfterMs) };
  const ofRoute = stock.keys().filter(({ route }) => routeType === undefined || route === routeType);
  if (ofRoute.length === 0)
    return new Fault("EXTENSION_UNMET", { text: "there is no key at hand", details: [], ...retry });
  const ageMs = Math.round(Math.min(...ofRoute.map(({ bornAt }) => now - bornAt)));
  const text = `the youngest key at hand is ${ageMs} ms old`;
  return new Fault("EXTENSION_UNMET", { text, details: [{ youngest_age_ms: String(ageMs) }], ...retry });
}

/** Marks may have to move for other requests first. */
const TRIES = 8;

/**
 * Takes keys of the best kind that there are enough of, as soon as their marks are durable; undefined when there are
 * not. The pieces' blocks and keys are pinned; whoever takes them disposes them.
 * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE
 */
export async function takeOfKind(
  stock: SourceStock,
  demand: KeyDemand,
  kinds: readonly Provenance[],
  now: number,
): Promise<Piece[] | undefined> {
  for (const kind of kinds) {
    const wanted = { ...demand, fits: fitsKind(kind, now) };
    for (let tries = 0; tries < TRIES && stock.has(wanted); tries++) {
      let pieces = stock.take(wanted);
      if (pieces === undefined) await stock.prepare(wanted, () => (pieces = stock.take(wanted)));
      if (pieces !== undefined) return pieces;
    }
  }
  return undefined;
}
