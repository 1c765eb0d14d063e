// What sessions may be: their limits, and what a request in one must keep to.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { SessionPolicy } from "../../core/policy.ts";
import { sessionMaxKeys } from "../common/sizes.ts";
import type { PeerKeysRequest, SessionCreation } from "../ports/sessions.ts";
import type { NamedFor } from "../supply/key-namer.ts";
import type { SessionTerms } from "./session.ts";

/**
 * For whom the keys of a session are named. Within one KM, where both are served from the same KMA-keys, the other way
 * round: so the destination cannot fetch by ID what it was pushed, before the initiator has it.
 */
export const namedFor = ({ initiator, destination, peer }: SessionTerms, self: KmId): NamedFor =>
  peer === self ? { initiator: destination, target: initiator } : { initiator, target: destination };

/** What the other key manager's answer may take beyond what it waits for itself. */
export const ANSWER_MARGIN_MS = 5000;

/** The budget of a session, in keys. @throws Fault MALFORMED_REQUEST, TOO_MANY_KEYS */
export function budgetOf(wanted: number | undefined, { maxKeys }: SessionPolicy): number {
  if (wanted === undefined) return maxKeys;
  if (!Number.isSafeInteger(wanted) || wanted < 1) {
    throw new Fault("MALFORMED_REQUEST", { text: "number_of_keys shall be an integer of at least 1" });
  }
  if (wanted > maxKeys) {
    throw new Fault("TOO_MANY_KEYS", { text: `a session may have at most ${maxKeys} keys, not ${wanted}` });
  }
  return wanted;
}

/** @throws Fault MALFORMED_REQUEST */
export function checkApps({
  initiator,
  destination,
  applicationName,
}: Pick<SessionCreation, "initiator" | "destination" | "applicationName">): void {
  if (initiator === destination) {
    throw new Fault("MALFORMED_REQUEST", { text: "an application cannot have a session with itself" });
  }
  if (applicationName !== undefined && applicationName.length > LIMITS.nameChars) {
    throw new Fault("MALFORMED_REQUEST", { text: `application_name may have at most ${LIMITS.nameChars} characters` });
  }
}

/** All keys of one request fit one push (0x120A) and one answer (0x1209). @throws Fault TOO_MANY_KEYS */
export function checkFrames({ count, sizeBits }: Pick<PeerKeysRequest, "count" | "sizeBits">): void {
  const most = sessionMaxKeys(sizeBits);
  if (count <= most) return;
  throw new Fault("TOO_MANY_KEYS", {
    text: `at most ${most} keys of ${sizeBits} bits fit one answer in a session, not ${count}`,
    details: [{ max_key_per_request: String(most) }],
  });
}
