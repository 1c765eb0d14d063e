// A key relay between the key manager's words and the messages 0x1101 and 0x1102 (Q.4163 Tables 1 and 2).

import { Fault } from "../core/fault.ts";
import { type KmId, linkId } from "../core/ids.ts";
import { parseRuns } from "../core/runs.ts";
import type { ExtensionEntry, LinkProtection, RelayConfirmation, RelayOffer } from "../keys/ports.ts";
import type { JsonObject, KeyEntry } from "../wire/types.ts";
import { entriesOf, entryNamed } from "./entries.ts";
import { base64, idOf, integerOf, km, malformed, objectOf, tagOf } from "./fields.ts";
import { type KeyRelay, type KeyRelayCompletion, KX } from "./messages.ts";
import { checkAnswer, faultOf, ofAnswer, responseOf, SUCCESS, unreadable } from "./response.ts";

const MAX_REQUEST_ID = 256;
const KEY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The 0x1101 of an offer under the `link` scheme: no key byte travels. */
export function relayOf(offer: RelayOffer): KeyRelay {
  if (offer.protection.scheme === "otp") throw schemeRefused("otp");
  const { scheme, link, run, sequence, tag } = offer.protection;
  const protection = { scheme, link, run, sequence, tag: base64(tag) };
  return {
    source_KMA_ID: offer.source,
    destination_KMA_ID: offer.destination,
    ...(offer.transit.length > 0 && { transit_KMA_IDs: offer.transit.join(",") }),
    keys: [{ key_ID: offer.keyId, key: "", key_extension: { protection } }],
    ...(offer.requestId !== "" && { key_relay_request_ID: offer.requestId }),
    ...(offer.givenUp !== "" && { extension: [{ name: "qkm_given_up", serials: offer.givenUp }] }),
  };
}

/**
 * The offer that a 0x1101 of an extended peer makes; `requestId` is empty when it has none.
 * @throws Fault MALFORMED_REQUEST, PROTECTION_REFUSED, EXTENSION_UNSUPPORTED
 */
export function offerOf(relay: KeyRelay): RelayOffer {
  const entry = onlyKey(relay.keys);
  return {
    requestId: requestIdOf(relay.key_relay_request_ID),
    source: km(relay.source_KMA_ID, "source_KMA_ID"),
    destination: km(relay.destination_KMA_ID, "destination_KMA_ID"),
    transit: listOf(relay.transit_KMA_IDs).map((id) => km(id, "each of transit_KMA_IDs")),
    keyId: keyIdOf(entry.key_ID),
    protection: protectionOf(entry),
    key: new Uint8Array(0),
    givenUp: givenUpOf(entriesOf(relay.extension)),
  };
}

/** The request ID of a 0x1101 that may be malformed elsewhere, for the answer. */
export function answerableId(relay: JsonObject): string {
  const id = relay.key_relay_request_ID;
  return typeof id === "string" && id.length <= MAX_REQUEST_ID ? id : "";
}

/** The 0x1102 of success. */
export const completionOf = (requestId: string, confirmation: RelayConfirmation): KeyRelayCompletion => ({
  response: SUCCESS,
  ...(requestId !== "" && { key_relay_request_ID: requestId }),
  extension: [{ name: "qkm_confirm", keys: [{ key_ID: confirmation.keyId, tag: base64(confirmation.tag) }] }],
});

/** The 0x1102 of failure: at the hop that the fault names, or else at this KM. */
export const failureOf = (requestId: string, fault: Fault, self: KmId): KeyRelayCompletion => ({
  response: responseOf(fault),
  ...(requestId !== "" && { key_relay_request_ID: requestId }),
  extension: [{ name: "qkm_failed_at", KMA_ID: fault.failedAt ?? self }],
});

/**
 * What a 0x1102 says of an offer.
 * @throws Fault of the peer with the hop that it names; INTERNAL when the answer cannot be understood
 */
export function confirmationOf(offer: RelayOffer, json: object): RelayConfirmation {
  const completion = checkAnswer(KX.keyRelayCompletion, json);
  const entries = ofAnswer(() => entriesOf(completion.extension));
  const requestId = completion.key_relay_request_ID ?? offer.requestId;
  if (requestId !== offer.requestId) throw unreadable("it is for another key_relay_request_ID");
  const fault = ofAnswer(() => faultOf(completion.response, failedAtOf(entries)));
  if (fault !== undefined) throw fault;
  return ofAnswer(() => confirmed(offer.keyId, entryNamed(entries, "qkm_confirm")));
}

function confirmed(keyId: string, entry: ExtensionEntry | undefined): RelayConfirmation {
  const keys: unknown = entry?.keys;
  if (!Array.isArray(keys) || keys.length !== 1) throw malformed("qkm_confirm must name the one key relayed");
  const key = objectOf(keys[0], "qkm_confirm.keys[0]");
  if (key.key_ID !== keyId) throw malformed("qkm_confirm names another key");
  return { keyId, tag: tagOf(key.tag, "qkm_confirm.keys[0].tag") };
}

function failedAtOf(entries: readonly ExtensionEntry[]): KmId | undefined {
  const entry = entryNamed(entries, "qkm_failed_at");
  return entry && km(entry.KMA_ID, "qkm_failed_at.KMA_ID");
}

function onlyKey(keys: readonly KeyEntry[]): KeyEntry {
  const [entry] = keys;
  if (entry === undefined || keys.length !== 1) throw malformed("keys must have exactly one entry");
  return entry;
}

function protectionOf(entry: KeyEntry): LinkProtection {
  const extension = entry.key_extension ?? {};
  // Here the strict dialect parts: without protection the key is whole, and TLS alone protects it.
  if (extension.protection === undefined) throw new Fault("PROTECTION_REFUSED", { text: "the key has no protection" });
  if (extension.part !== undefined || extension.parts !== undefined) {
    throw new Fault("EXTENSION_UNSUPPORTED", { text: "keys in several parts are not offered yet" });
  }
  const protection = objectOf(extension.protection, "key_extension.protection");
  if (protection.scheme !== "link") throw schemeRefused(protection.scheme);
  if (entry.key !== "") throw malformed("key must be empty under the scheme link");
  return {
    scheme: "link",
    link: idOf(protection.link, "protection.link", linkId),
    run: integerOf(protection.run, "protection.run"),
    sequence: integerOf(protection.sequence, "protection.sequence"),
    tag: tagOf(protection.tag, "protection.tag"),
  };
}

const schemeRefused = (scheme: unknown): Fault =>
  new Fault("PROTECTION_REFUSED", {
    text: scheme === "otp" ? "the scheme otp is not offered yet" : "the scheme of the protection is not known",
  });

function givenUpOf(entries: readonly ExtensionEntry[]): string {
  const entry = entryNamed(entries, "qkm_given_up");
  if (entry === undefined) return "";
  const { serials } = entry;
  if (typeof serials === "string" && isRuns(serials)) return serials;
  throw malformed("qkm_given_up.serials must be ascending numbers and runs such as 17,20-22");
}

function isRuns(text: string): boolean {
  try {
    parseRuns(text);
    return true;
  } catch {
    return false;
  }
}

function requestIdOf(id = ""): string {
  if (id.length > MAX_REQUEST_ID) throw malformed(`key_relay_request_ID is longer than ${MAX_REQUEST_ID} characters`);
  return id;
}

function listOf(ids: string | readonly string[] = ""): readonly string[] {
  if (typeof ids !== "string") return ids;
  return ids === "" ? [] : ids.split(",");
}

function keyIdOf(id: string): string {
  if (!KEY_ID.test(id)) throw malformed("key_ID must be a UUID of version 8 in lower case");
  return id;
}
