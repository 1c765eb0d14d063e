// What a request may ask of the way its keys came: `qkm_route_type` and `qkm_max_age`, at every door the same.

import { malformed } from "../fault.ts";

/** How a KMA-key came: over one QKD link, over transit nodes, or in parts over several routes. */
export const ROUTE_TYPES = ["direct", "relayed", "multipath"] as const;
/** How a KMA-key came: over a link of both ends, by relay, by relay in parts, or made here for two own applications. */
export type RouteType = (typeof ROUTE_TYPES)[number];

/** What keys are to be like; what is absent does not matter. */
export interface Provenance {
  readonly routeType?: RouteType;
  /** Since the relay of their KMA-key began. */
  readonly maxAgeMs?: number;
}

const isRouteType = (value: unknown): value is RouteType => ROUTE_TYPES.some((type) => type === value);

const EXTENSIONS: Readonly<Record<string, (value: unknown) => Provenance>> = {
  qkm_route_type: (value) => {
    if (isRouteType(value)) return { routeType: value };
    throw malformed(`qkm_route_type must be one of ${ROUTE_TYPES.join(", ")}`);
  },
  qkm_max_age: (value) => {
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return { maxAgeMs: value };
    throw malformed("qkm_max_age must be a whole number of milliseconds above 0");
  },
};

/** What the extension of this name says; undefined when the name is not known here. @throws Fault MALFORMED_REQUEST */
export const readProvenance = (name: string, value: unknown): Provenance | undefined =>
  Object.hasOwn(EXTENSIONS, name) ? EXTENSIONS[name]?.(value) : undefined;

/** Both together. @throws Fault MALFORMED_REQUEST when the same is said twice */
export function joined(one: Provenance, other: Provenance): Provenance {
  const twice = Object.keys(other).find((member) => Object.hasOwn(one, member));
  if (twice !== undefined) throw malformed("an extension is given more than once");
  return { ...one, ...other };
}
