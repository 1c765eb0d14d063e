// The extensions of a 0x2101 that this project knows: what the keys asked for are to be like.

import { Fault } from "../core/fault.ts";
import { joined, type Provenance, readProvenance } from "../core/topology/provenance.ts";
import type { SupplyRequest } from "../keys/ports/keys.ts";
import type { JsonObject } from "../wire/types.ts";

type SupplyOptions = Pick<SupplyRequest, "only" | "rather">;

/**
 * Entries are `{"name": "qkm_route_type", "value": "direct", "mandatory": true}`; without `mandatory` they are options.
 * @throws Fault EXTENSION_UNSUPPORTED when a mandatory one is not known, MALFORMED_REQUEST
 */
export function supplyOptionsOf(extension: readonly JsonObject[] = []): SupplyOptions {
  let options: SupplyOptions = {};
  for (const { name, value, mandatory } of extension) {
    const says = typeof name === "string" ? readProvenance(name, value) : undefined;
    if (says !== undefined) options = adding(options, mandatory === true ? "only" : "rather", says);
    else if (mandatory === true) throw unsupported(name);
  }
  return options;
}

const adding = (options: SupplyOptions, member: keyof SupplyOptions, says: Provenance): SupplyOptions => ({
  ...options,
  [member]: joined(options[member] ?? {}, says),
});

const unsupported = (name: unknown): Fault =>
  new Fault("EXTENSION_UNSUPPORTED", { text: `the mandatory extension ${JSON.stringify(name)} is not known here` });

/** The other way: for a client. */
export const extensionOf = ({ only = {}, rather = {} }: SupplyOptions): JsonObject[] => [
  ...entriesOf(only).map((entry) => ({ ...entry, mandatory: true })),
  ...entriesOf(rather),
];

const entriesOf = ({ routeType, maxAgeMs }: Provenance): JsonObject[] => [
  ...(routeType === undefined ? [] : [{ name: "qkm_route_type", value: routeType }]),
  ...(maxAgeMs === undefined ? [] : [{ name: "qkm_max_age", value: maxAgeMs }]),
];
