// A key relay in the strict dialect: keys whole, with the sender's IDs, protected by TLS alone (Q.4163 Tables 1 and 2).

import { Fault, malformed } from "../../core/fault.ts";
import { LIMITS } from "../../core/limits.ts";
import type { UnprotectedArrival, UnprotectedKey, UnprotectedOffer } from "../../keys/ports/peers.ts";
import { base64Length } from "../../wire/base64.ts";
import type { KeyEntry } from "../../wire/types.ts";
import { textOf } from "./fields.ts";
import { type FrameKey, type KeyFrame, keysPayload } from "./key-frame.ts";
import { type KeyRelay, KX } from "./messages.ts";
import { checkAnswer, faultOf } from "./response.ts";
import { requestMember, routeMembers, routeOf } from "./route.ts";

/** The 0x1101 of an offer, whose keys are written when the frame leaves. */
export const unprotectedRelayOf = (offer: UnprotectedOffer): KeyFrame =>
  keysPayload(routeMembers(offer), offer.keys.map(entryOf), requestMember(offer.requestId));

const entryOf = (key: UnprotectedKey): FrameKey => ({
  letters: { length: base64Length(key.length), write: (target, at) => key.writeKey(target, at) },
  members: { key_ID: key.keyId },
});

/**
 * What arrives with a 0x1101 of a strict peer; its letters are copies, for whoever calls to zero.
 * @param letters of each entry's `key`, lent until this returns
 * @throws Fault MALFORMED_REQUEST, PROTECTION_REFUSED
 */
export function arrivalOf(relay: KeyRelay, letters: readonly Uint8Array[]): UnprotectedArrival {
  const { keys } = relay;
  if (keys.length === 0 || keys.length > LIMITS.keys) throw malformed(`keys must have 1 to ${LIMITS.keys} entries`);
  const route = routeOf(relay);
  const keyIds = keys.map(keyIdOf);
  if (new Set(keyIds).size < keyIds.length) throw malformed("keys has a key_ID twice");
  if (keyIds.some((_, index) => !letters[index]?.length)) throw malformed("a key is empty");
  return { ...route, keys: keyIds.map((keyId, index) => ({ keyId, letters: Uint8Array.from(letters[index] ?? []) })) };
}

/** @throws Fault */
function keyIdOf({ key_ID, key_extension }: KeyEntry): string {
  if (key_extension?.protection !== undefined) {
    throw new Fault("PROTECTION_REFUSED", { text: "keys of a peer configured as strict come without protection" });
  }
  return textOf(key_ID, "each key_ID", LIMITS.nameChars);
}

/** @throws Fault of the peer; INTERNAL when its 0x1102 cannot be understood */
export function checkTaken(json: object): void {
  const fault = faultOf(checkAnswer(KX.keyRelayCompletion, json).response);
  if (fault !== undefined) throw fault;
}

/** Which MessageID the relay of a request ID has: a strict peer may number its 0x1102 itself. */
export class OpenRequests {
  readonly #messageIds = new Map<string, number>();

  /** Without a request ID, or with that of an older open one, it is known by its MessageID alone. */
  add(requestId: string, messageId: number): void {
    if (requestId !== "" && !this.#messageIds.has(requestId)) this.#messageIds.set(requestId, messageId);
  }

  remove(requestId: string, messageId: number): void {
    if (this.#messageIds.get(requestId) === messageId) this.#messageIds.delete(requestId);
  }

  /** The relay that a 0x1102 answers; `undefined` when it names a request that is not open. */
  answered(messageId: number, json: object): number | undefined {
    const requestId: unknown = "key_relay_request_ID" in json ? json.key_relay_request_ID : undefined;
    return typeof requestId === "string" ? this.#messageIds.get(requestId) : messageId;
  }
}
