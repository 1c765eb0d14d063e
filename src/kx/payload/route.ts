// What a 0x1101 says beside its keys, and an 0x1102 in either dialect: the route and the request.

import { type Fault, malformed, SUCCESS } from "../../core/fault.ts";
import { type KmId, kmId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { RelayOffer } from "../../keys/ports/peers.ts";
import type { JsonObject } from "../../wire/types.ts";
import { idOf } from "./fields.ts";
import type { KeyRelay, KeyRelayCompletion } from "./messages.ts";
import { responseOf } from "./response.ts";

/** The part of an offer that says which way it goes. */
export type Route = Pick<RelayOffer, "requestId" | "source" | "destination" | "transit">;
type RouteMembers = Pick<KeyRelay, "source_KMA_ID" | "destination_KMA_ID" | "transit_KMA_IDs">;
type RequestMember = Pick<KeyRelay, "key_relay_request_ID">;

/** The members before `keys`. */
export const routeMembers = ({ source, destination, transit }: Route): RouteMembers => ({
  source_KMA_ID: source,
  destination_KMA_ID: destination,
  ...(transit.length > 0 && { transit_KMA_IDs: transit.join(",") }),
});

/** `key_relay_request_ID`, left out where the peer named none. */
export const requestMember = (requestId: string): RequestMember =>
  requestId === "" ? {} : { key_relay_request_ID: requestId };

/** `requestId` is empty when there is none. @throws Fault MALFORMED_REQUEST */
export const routeOf = (relay: KeyRelay): Route => ({
  requestId: requestIdOf(relay.key_relay_request_ID),
  source: km(relay.source_KMA_ID, "source_KMA_ID"),
  destination: km(relay.destination_KMA_ID, "destination_KMA_ID"),
  transit: listOf(relay.transit_KMA_IDs).map((id) => km(id, "each of transit_KMA_IDs")),
});

/** @throws Fault MALFORMED_REQUEST */
export const km = (value: unknown, what: string): KmId => idOf(value, what, kmId);

/** The request ID of a 0x1101 that may be malformed elsewhere, for the answer. */
export function answerableId(relay: JsonObject): string {
  const id = relay.key_relay_request_ID;
  return typeof id === "string" && id.length <= LIMITS.nameChars ? id : "";
}

/** The 0x1102 of success, by the tables alone. */
export const taken = (requestId: string): KeyRelayCompletion => ({ response: SUCCESS, ...requestMember(requestId) });

/** The 0x1102 of failure, by the tables alone. */
export const refused = (requestId: string, fault: Fault): KeyRelayCompletion => ({
  response: responseOf(fault),
  ...requestMember(requestId),
});

function requestIdOf(id = ""): string {
  if (id.length > LIMITS.nameChars)
    throw malformed(`key_relay_request_ID is longer than ${LIMITS.nameChars} characters`);
  return id;
}

function listOf(ids: string | readonly string[] = ""): readonly string[] {
  const list = typeof ids !== "string" ? ids : ids === "" ? [] : ids.split(",");
  if (list.length > LIMITS.transits) throw malformed(`transit_KMA_IDs names more than ${LIMITS.transits} key managers`);
  return list;
}
