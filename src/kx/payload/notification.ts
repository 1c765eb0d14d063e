// What 0x1103 and 0x1104 say of the two KMs and of sessions, between the key manager's words and the messages (Q.4163 Tables 3 and 4).

import { malformed, SUCCESS } from "../../core/fault.ts";
import { appId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { ExtensionEntry } from "../../keys/ports/peers.ts";
import type { PeerKeysRequest, SessionCreation } from "../../keys/ports/sessions.ts";
import { check } from "../../wire/message.ts";
import type { JsonObject } from "../../wire/types.ts";
import { entriesOf, entryNamed } from "./entries.ts";
import { idOf, integerOf, textOf } from "./fields.ts";
import { type KeySupplyNotification, type KeySupplyNotificationResponse, KX } from "./messages.ts";

/** Keys that one 0x1103 may ask for: as many of the smallest fit no 0x120A. */
export const MAX_WISHED_KEYS = 1024;

const CREATION = "session_creation";

/** What a 0x1103 is about. */
export type Notification =
  | { readonly kind: "tell"; readonly entries: readonly ExtensionEntry[] }
  | { readonly kind: "creation"; readonly creation: SessionCreation }
  | { readonly kind: "keysRequest"; readonly keysRequest: PeerKeysRequest };

/** What two KMs tell each other. */
export const tellOf = (entries: readonly ExtensionEntry[]): KeySupplyNotification => ({
  session_ID: "",
  number_of_keys: 0,
  extension: entries,
});

/** A session is to be created. */
export function creationOf(creation: SessionCreation): KeySupplyNotification {
  const { sessionId, initiator, destination, applicationName, budget } = creation;
  const entry: ExtensionEntry = {
    name: CREATION,
    application_source_ID: initiator,
    application_destination_ID: destination,
    ...(applicationName !== undefined && { application_name: applicationName }),
    ...(budget !== undefined && { number_of_keys: budget }),
  };
  return { session_ID: sessionId, number_of_keys: 0, extension: [entry] };
}

/** Keys are wanted in a session. */
export const optionsOf = ({ sessionId, count, sizeBits }: PeerKeysRequest): KeySupplyNotification => ({
  session_ID: sessionId,
  number_of_keys: count,
  size_of_key: sizeBits,
});

/** @throws Fault MALFORMED_REQUEST */
export function notificationOf(json: JsonObject, defaultKeyBits: number): Notification {
  const message = check(KX.keySupplyNotification, json);
  const { session_ID, number_of_keys } = message;
  const entries = entriesOf(message.extension);
  if (session_ID === "") {
    if (number_of_keys !== 0) throw malformed("number_of_keys must be 0 without a session_ID");
    return { kind: "tell", entries };
  }
  const sessionId = textOf(session_ID, "session_ID", LIMITS.nameChars);
  const entry = entryNamed(entries, CREATION);
  if (entry !== undefined) {
    if ((number_of_keys ?? 0) !== 0) throw malformed(`number_of_keys must be 0 beside ${CREATION}`);
    return { kind: "creation", creation: created(sessionId, entry) };
  }
  const { size_of_key: sizeBits = defaultKeyBits } = message;
  return { kind: "keysRequest", keysRequest: { sessionId, count: countOf(number_of_keys), sizeBits } };
}

function created(sessionId: string, entry: ExtensionEntry): SessionCreation {
  const member = <T>(name: string, read: (value: unknown, what: string) => T): T | undefined =>
    entry[name] === undefined ? undefined : read(entry[name], `${CREATION}.${name}`);
  return {
    sessionId,
    initiator: idOf(entry.application_source_ID, `${CREATION}.application_source_ID`, appId),
    destination: idOf(entry.application_destination_ID, `${CREATION}.application_destination_ID`, appId),
    applicationName: member("application_name", (value, what) => textOf(value, what, LIMITS.nameChars)),
    budget: member("number_of_keys", integerOf),
  };
}

function countOf(count = 1): number {
  if (count >= 1 && count <= MAX_WISHED_KEYS) return count;
  throw malformed(`number_of_keys must be 1 to ${MAX_WISHED_KEYS} in a session, not ${count}`);
}

/** The session ID of a 0x1103 that may be malformed elsewhere, for the answer. */
export function answerableSession(json: JsonObject): string {
  const id = json.session_ID;
  return typeof id === "string" && id.length <= LIMITS.nameChars ? id : "";
}

/**
 * The answers to a keysRequest: one for each key that the application received, and if those are fewer than wanted one more,
 * which names none and ends them.
 */
export function receipts(
  keysRequest: PeerKeysRequest,
  keyIds: readonly string[],
): readonly KeySupplyNotificationResponse[] {
  const answer = { session_ID: keysRequest.sessionId, response: SUCCESS };
  const received = keyIds.slice(0, keysRequest.count).map((key_ID) => ({ ...answer, key_ID }));
  return received.length < keysRequest.count ? [...received, { ...answer, key_ID: "" }] : received;
}
