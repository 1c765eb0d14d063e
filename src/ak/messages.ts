// The messages of reference point Ak: ITU-T Q.4161 clause 8.

import { message, optional, type PayloadOf, required } from "../wire/message.ts";
import { bits, count, keyIds, keys, objects, text } from "../wire/types.ts";

const extension = optional(objects, "extension parameters");
const applicationName = optional(text, "a name for people");
const sessionId = required(text, "the session, as 0x1205 or 0x1206 named it");
const response = required(text, "`success`, or `CODE: sentence`");

/** Codes 0x21.. go from the application to its KM, codes 0x12.. from the KM to the application. */
export const AK = {
  /** Table 1: an application asks its KM for keys. */
  keyRequest: message(0x2101, "Q.4161 8.1.1", {
    application_source_ID: optional(text, "the app that asks; its certificate decides"),
    application_destination_ID: required(text, "the app that it wants to talk to"),
    application_name: applicationName,
    number_of_keys: optional(count, "default 1"),
    size_of_key: optional(bits, "of each key; default as configured"),
    extension,
  }),
  /** Table 2: the other application asks for the same keys. */
  keyRequestWithId: message(0x2102, "Q.4161 8.1.2", {
    application_source_ID: required(text, "the initiator: the app that was supplied with the keys first"),
    application_destination_ID: optional(text, "the app that asks; its certificate decides"),
    application_name: applicationName,
    key_IDs: required(keyIds, "the keys, as the initiator told their IDs"),
    extension,
  }),
  /** Table 3: the answer to 0x2101 and 0x2102. */
  keyResponse: message(0x1203, "Q.4161 8.1.3", {
    keys: required(keys, "the keys in base64, in the order asked; empty without success"),
    response,
    extension,
  }),
  /** Table 4: an application asks for a session. */
  sessionCreation: message(0x2104, "Q.4161 8.2.1", {
    application_source_ID: required(text, "the app that asks; its certificate decides"),
    application_destination_ID: required(text, "the app that it wants to talk to"),
    application_name: applicationName,
    number_of_keys: optional(count, "the most keys that the session may ask for"),
    extension,
  }),
  /** Table 5: the answer to 0x2104. */
  sessionCreationResponse: message(0x1205, "Q.4161 8.2.2", {
    session_ID: required(text, "the new session; empty without success"),
    response,
    source_KM_ID: optional(text, "the KM that keeps the session"),
    extension,
  }),
  /** Table 6: the destination's KM tells its application of a session. */
  sessionNotification: message(0x1206, "Q.4161 8.2.3", {
    application_source_ID: required(text, "the app that asked for the session"),
    application_destination_ID: required(text, "the app that is told"),
    application_name: applicationName,
    session_ID: required(text, "the new session"),
    number_of_keys: optional(count, "the most keys that the session may ask for"),
    extension,
  }),
  /** Table 7: the answer to 0x1206. */
  sessionNotificationResponse: message(0x2107, "Q.4161 8.2.4", { session_ID: sessionId, response, extension }),
  /** Table 8: the source application asks for keys in the session. */
  sessionKeyRequest: message(0x2108, "Q.4161 8.2.5", {
    session_ID: sessionId,
    number_of_keys: optional(count, "default 1"),
    size_of_key: optional(bits, "of each key; default as configured"),
    extension,
  }),
  /** Table 9: the answer to 0x2108. */
  sessionKeyResponse: message(0x1209, "Q.4161 8.2.6", {
    session_ID: sessionId,
    keys: required(keys, "the keys that the destination application acknowledged; empty without success"),
    response,
    extension,
  }),
  /** Table 10: the destination's KM pushes keys to its application. */
  proactiveSupply: message(0x120a, "Q.4161 8.2.7", {
    session_ID: sessionId,
    keys: required(keys, "the keys in base64"),
    extension,
  }),
  /** Table 11: the answer to 0x120A, one for each key. */
  proactiveSupplyResponse: message(0x210b, "Q.4161 8.2.8", {
    session_ID: sessionId,
    key_ID: required(text, "the key that the answer is about; empty to refuse all that are left"),
    response,
    extension,
  }),
} as const;

/** 0x2101: an application asks for new keys (Q.4161 Table 1). */
export type KeyRequest = PayloadOf<typeof AK.keyRequest>;
/** 0x2102: an application asks for keys by their IDs. */
export type KeyRequestWithId = PayloadOf<typeof AK.keyRequestWithId>;
/** 0x1203: keys, or why there are none. */
export type KeyResponse = PayloadOf<typeof AK.keyResponse>;
/** 0x2104: an application opens a session (Q.4161 8.2). */
export type SessionCreationRequest = PayloadOf<typeof AK.sessionCreation>;
/** 0x1206: the key manager tells the destination of a session. */
export type SessionNotification = PayloadOf<typeof AK.sessionNotification>;
/** 0x2108: the initiator asks for keys of a session. */
export type SessionKeyRequest = PayloadOf<typeof AK.sessionKeyRequest>;
/** 0x120A: the key manager pushes keys of a session. */
export type ProactiveSupply = PayloadOf<typeof AK.proactiveSupply>;
/** 0x210B: the destination acknowledges one pushed key. */
export type ProactiveSupplyResponse = PayloadOf<typeof AK.proactiveSupplyResponse>;

/** Which message answers which. */
export const AK_ANSWERS = {
  keyRequest: "keyResponse",
  keyRequestWithId: "keyResponse",
  sessionCreation: "sessionCreationResponse",
  sessionNotification: "sessionNotificationResponse",
  sessionKeyRequest: "sessionKeyResponse",
  proactiveSupply: "proactiveSupplyResponse",
} as const satisfies Partial<Record<keyof typeof AK, keyof typeof AK>>;
