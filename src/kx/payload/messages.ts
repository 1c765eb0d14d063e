// The messages of reference point Kx: ITU-T Q.4163 clause 8.

import { message, optional, type PayloadOf, required } from "../../wire/message.ts";
import { bits, count, keys, names, objects, text } from "../../wire/types.ts";

const extension = optional(objects, "extension parameters");
const requestId = optional(text, "the relay request; always sent here");
const sessionId = required(text, "the session; empty when the message is about the two KMs");
const response = required(text, "`success`, or `CODE: sentence`");

/** Codes 0x11.. go from a KM to another. */
export const KX = {
  /** Table 1: KMA-keys go from hop to hop. */
  keyRelay: message(0x1101, "Q.4163 8.1", {
    source_KMA_ID: required(text, "where the whole route begins"),
    destination_KMA_ID: required(text, "where the whole route ends"),
    transit_KMA_IDs: optional(names, "the KMs between, in the order of the route"),
    keys: required(keys, "the KMA-keys; how each is protected is in its key_extension"),
    key_relay_request_ID: requestId,
    extension,
  }),
  /** Table 2: the destination reports what became of a relay. */
  keyRelayCompletion: message(0x1102, "Q.4163 8.2", { response, key_relay_request_ID: requestId, extension }),
  /** Table 3: keys wanted in a session; with number_of_keys 0, what two KMs tell each other. */
  keySupplyNotification: message(0x1103, "Q.4163 8.3", {
    session_ID: sessionId,
    number_of_keys: optional(count, "default 1; 0 when only the extension counts"),
    size_of_key: optional(bits, "of each key; default as configured"),
    extension,
  }),
  /** Table 4: the answer to 0x1103, one for each key. */
  keySupplyNotificationResponse: message(0x1104, "Q.4163 8.4", {
    session_ID: sessionId,
    key_ID: required(text, "a key that the destination application received; empty when there is none"),
    response,
    extension,
  }),
} as const;

/** 0x1101: a key on its way to the next KM (Q.4163 Table 1). */
export type KeyRelay = PayloadOf<typeof KX.keyRelay>;
/** 0x1102: what became of a relay (Q.4163 Table 2). */
export type KeyRelayCompletion = PayloadOf<typeof KX.keyRelayCompletion>;
/** 0x1103: sessions, and what two KMs announce to each other (Q.4163 Table 3). */
export type KeySupplyNotification = PayloadOf<typeof KX.keySupplyNotification>;
/** 0x1104: the answer to 0x1103 (Q.4163 Table 4). */
export type KeySupplyNotificationResponse = PayloadOf<typeof KX.keySupplyNotificationResponse>;

/** Which message answers which. */
export const KX_ANSWERS = {
  keyRelay: "keyRelayCompletion",
  keySupplyNotification: "keySupplyNotificationResponse",
} as const satisfies Partial<Record<keyof typeof KX, keyof typeof KX>>;
