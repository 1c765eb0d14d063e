// The route of a key relay as one KM on it sees it: who comes before and after, and how long to wait.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { RelayOffer } from "../ports/peers.ts";

/** The KMs of a route in order, source and destination included. */
export type Path = readonly KmId[];

/** Where this KM stands on the route of an offer. */
export interface RelayHop {
  readonly path: Path;
  /** Of this KM in the path; 0 is the source. */
  readonly at: number;
}

/** A pad is waited for no longer than this part of a hop's time, so that the hops behind have theirs. */
const PAD_PART = 0.5;
/** A destination waits for parts that came over other routes a little less than the hop before it waits for the answer. */
const PARTS_PART = 0.9;

/** All KMs of an offer's route, source and destination included. */
export const pathOf = ({ source, transit, destination }: Omit<RelayOffer, "protection">): Path => [
  source,
  ...transit,
  destination,
];

/** @throws Fault NOT_ON_ROUTE when `from` is not this KM's predecessor, or a KM is on the route twice (key-protocol 2) */
export function relayHopOf(offer: RelayOffer, self: KmId, from: KmId): RelayHop {
  const path = pathOf(offer);
  const at = path.indexOf(self);
  if (at < 1 || path[at - 1] !== from || new Set(path).size < path.length) throw new Fault("NOT_ON_ROUTE");
  return { path, at };
}

/**
 * How long the KM at a relayHop waits for the completion, of what the source waits: the share of the hops that are left,
 * so that the one nearest to the trouble names it.
 */
export const answerMs = ({ path, at }: RelayHop, timeoutMs: number): number =>
  (timeoutMs * (path.length - 1 - at)) / (path.length - 1);

/** How long a KM on the way waits for pads. */
export const padMs = ({ path }: RelayHop, timeoutMs: number): number => (timeoutMs * PAD_PART) / (path.length - 1);

/** How long a destination waits for the other parts of a KMA-key. */
export const partsMs = ({ path }: RelayHop, timeoutMs: number): number => (timeoutMs * PARTS_PART) / (path.length - 1);

/** The fault with the hop that failed: the one that it names, or else the one that leads to `to`. */
export function failedAt(fault: Fault, to: KmId): Fault {
  if (fault.failedAt !== undefined) return fault;
  const { code, message, retryAfterMs, cause } = fault;
  return new Fault(code, { text: message, failedAt: to, cause, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}
