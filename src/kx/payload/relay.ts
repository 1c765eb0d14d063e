// A key relay between the key manager's words and the messages 0x1101 and 0x1102 (Q.4163 Tables 1 and 2).

import type { Fault } from "../../core/fault.ts";
import { malformed } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { parseRuns } from "../../core/text/runs.ts";
import type { ExtensionEntry, RelayConfirmation, RelayOffer } from "../../keys/ports/peers.ts";
import type { KeyEntry } from "../../wire/types.ts";
import { entriesOf, entryNamed } from "./entries.ts";
import { base64, objectOf, tagOf } from "./fields.ts";
import { type KeyFrame, keysPayload, lettersOf } from "./key-frame.ts";
import { type KeyRelay, type KeyRelayCompletion, KX } from "./messages.ts";
import { checkProtected, extensionOf, protectedKeyOf } from "./protection.ts";
import { checkAnswer, faultOf, ofAnswer, unreadable } from "./response.ts";
import { km, refused, requestMember, routeMembers, routeOf, taken } from "./route.ts";

const KEY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The 0x1101 of an offer, whose key is read when the frame leaves. */
export function relayOf(offer: RelayOffer): KeyFrame {
  const { requestId, keyId, key, givenUp } = offer;
  const extension: KeyRelay["extension"] = [{ name: "qkm_given_up", serials: givenUp }];
  return keysPayload(
    routeMembers(offer),
    [{ letters: lettersOf(key), members: { key_ID: keyId, key_extension: extensionOf(offer) } }],
    { ...requestMember(requestId), ...(givenUp !== "" && { extension }) },
  );
}

/**
 * The offer that a 0x1101 of an extended peer makes; `requestId` is empty when it has none.
 * @param letters of each entry's `key`, lent until this returns
 * @throws Fault MALFORMED_REQUEST, PROTECTION_REFUSED
 */
export function offerOf(relay: KeyRelay, letters: readonly Uint8Array[]): RelayOffer {
  checkProtected(relay.keys);
  const entry = onlyKey(relay.keys);
  return {
    ...routeOf(relay),
    keyId: keyIdOf(entry.key_ID),
    ...protectedKeyOf(entry, letters[0] ?? new Uint8Array(0)),
    givenUp: abandonedOf(entriesOf(relay.extension)),
  };
}

/** The 0x1102 of success. */
export const completionOf = (requestId: string, confirmation: RelayConfirmation): KeyRelayCompletion => ({
  ...taken(requestId),
  extension: [{ name: "qkm_confirm", keys: [{ key_ID: confirmation.keyId, tag: base64(confirmation.tag) }] }],
});

/** The 0x1102 of failure: at the hop that the fault names, or else at this KM. */
export const failureOf = (requestId: string, fault: Fault, self: KmId): KeyRelayCompletion => ({
  ...refused(requestId, fault),
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

function abandonedOf(entries: readonly ExtensionEntry[]): string {
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

function keyIdOf(id: string): string {
  if (!KEY_ID.test(id)) throw malformed("key_ID must be a UUID of version 8 in lower case");
  return id;
}
