// The answers to one 0x1103 in a session, gathered until the keys that the destination application received are all named.

import { malformed } from "../../core/fault.ts";
import { LIMITS } from "../../core/limits.ts";
import type { PeerKeysRequest } from "../../keys/ports/sessions.ts";
import type { JsonObject } from "../../wire/types.ts";
import { entriesOf, entryNamed } from "./entries.ts";
import { textOf } from "./fields.ts";
import { type KeySupplyNotificationResponse, KX } from "./messages.ts";
import { checkAnswer, faultOf, ofAnswer, unreadable } from "./response.ts";

/**
 * One 0x1104 names one key; one that lists several in an entry `key_IDs`, or names none, is the last. So a refusal of the
 * whole is a first answer that names none and is no success.
 */
export class Receipts {
  readonly #keysRequest: PeerKeysRequest;
  readonly #repeated: () => void;
  /** Received or not: true for those that the destination application received. */
  readonly #named = new Map<string, boolean>();

  /** @param repeated called for an answer that names a key once more: it changes nothing */
  constructor(keysRequest: PeerKeysRequest, repeated: () => void) {
    this.#keysRequest = keysRequest;
    this.#repeated = repeated;
  }

  /** Keys that the destination application received, in the order of the answers. */
  get keyIds(): readonly string[] {
    return [...this.#named].filter(([, received]) => received).map(([keyId]) => keyId);
  }

  /** Takes an answer; true when it is the last. @throws Fault of a peer that refuses the whole; INTERNAL when it cannot be understood */
  take(json: object): boolean {
    const answer = checkAnswer(KX.keySupplyNotificationResponse, json);
    if (answer.session_ID !== this.#keysRequest.sessionId) throw unreadable("it is for another session_ID");
    const fault = faultOf(answer.response);
    const listed = ofAnswer(() => listOf(answer));
    if (fault !== undefined && answer.key_ID === "" && this.#named.size === 0) throw fault;
    for (const keyId of listed ?? []) this.#name(keyId, true);
    if (answer.key_ID !== "" && !listed?.includes(answer.key_ID)) this.#name(answer.key_ID, fault === undefined);
    return listed !== undefined || answer.key_ID === "" || this.#named.size === this.#keysRequest.count;
  }

  #name(keyId: string, received: boolean): void {
    if (this.#named.has(keyId)) {
      this.#repeated();
      return;
    }
    ofAnswer(() => textOf(keyId, "key_ID", LIMITS.nameChars));
    if (this.#named.size === this.#keysRequest.count) throw unreadable("it names more keys than were asked for");
    this.#named.set(keyId, received);
  }
}

/** The IDs of an entry `key_IDs`, if there is one: strings, or objects with `key_ID` as in 0x2102. */
function listOf({ extension }: KeySupplyNotificationResponse): readonly string[] | undefined {
  const entry = entryNamed(entriesOf(extension), "key_IDs");
  if (entry === undefined) return undefined;
  const list: unknown = entry.key_IDs;
  if (!Array.isArray(list)) throw malformed("key_IDs.key_IDs must be an array");
  return list.map((item: unknown) => textOf(isObject(item) ? item.key_ID : item, "each of key_IDs", LIMITS.nameChars));
}

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null;
