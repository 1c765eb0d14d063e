// Requests of applications: from payloads to what the key manager is asked.

import { Fault, malformed } from "../core/fault.ts";
import { type AppId, appId, ID_PATTERN } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import type { FetchRequest, KeySizes, SupplyRequest } from "../keys/ports/keys.ts";
import type { SessionKeysRequest, SessionRequest } from "../keys/ports/sessions.ts";
import { fitsSessionAnswer } from "./answer.ts";
import { supplyOptionsOf } from "./extension.ts";
import type { KeyRequest, KeyRequestWithId, SessionCreationRequest, SessionKeyRequest } from "./messages.ts";

const DOOR = "ak";

/** Q.4161 8.1.1. Who asks is who the certificate says, whatever the message says. @throws Fault */
export function supplyRequest(app: AppId, message: KeyRequest, sizes: KeySizes): SupplyRequest {
  const { number_of_keys: count = 1, size_of_key: sizeBits = sizes.defaultBits } = message;
  optionalId("application_source_ID", message.application_source_ID);
  const destination = idOf("application_destination_ID", message.application_destination_ID);
  checkCount(count);
  checkSize(sizeBits, sizes);
  const most = sizes.maxKeys(sizeBits);
  if (count > most)
    throw new Fault("TOO_MANY_KEYS", { text: `at most ${most} keys of ${sizeBits} bits fit one answer` });
  const asked = { door: DOOR, app, destination, count, sizeBits } as const;
  return message.extension === undefined ? asked : { ...asked, ...supplyOptionsOf(message.extension) };
}

function checkCount(count: number): void {
  if (count < 1) throw malformed("number_of_keys must be 1 or more");
}

function checkSize(sizeBits: number, { minBits, maxBits }: KeySizes): void {
  if (sizeBits % 8 !== 0) throw new Fault("KEY_SIZE_NOT_BYTES", { text: "size_of_key must be a multiple of 8 bits" });
  if (sizeBits >= minBits && sizeBits <= maxBits) return;
  throw new Fault("KEY_SIZE_INVALID", { text: `size_of_key must be from ${minBits} to ${maxBits} bits` });
}

/** Q.4161 8.1.2. Whether the keys fit one answer the key manager knows, which reads their IDs. @throws Fault */
export function fetchRequest(app: AppId, message: KeyRequestWithId): FetchRequest {
  optionalId("application_destination_ID", message.application_destination_ID);
  const initiator = idOf("application_source_ID", message.application_source_ID);
  const keyIds = message.key_IDs.map((entry) => entry.key_ID);
  if (keyIds.length === 0) throw malformed("key_IDs must name at least one key");
  return { door: DOOR, app, initiator, keyIds };
}

/** Q.4161 8.2.1. @throws Fault */
export function sessionRequest(app: AppId, message: SessionCreationRequest): SessionRequest {
  const { application_name: applicationName, number_of_keys: budget } = message;
  idOf("application_source_ID", message.application_source_ID);
  const destination = idOf("application_destination_ID", message.application_destination_ID);
  if (applicationName !== undefined) checkText("application_name", applicationName);
  if (budget !== undefined) checkCount(budget);
  return { app, destination, applicationName, budget };
}

/** What an answer repeats of the `session_ID` of a 0x2108: one that is too long to be ours is left out. */
export const answerableSession = ({ session_ID }: SessionKeyRequest): string =>
  session_ID.length <= LIMITS.nameChars ? session_ID : "";

/** Q.4161 8.2.5. @throws Fault */
export function sessionKeysRequest(app: AppId, message: SessionKeyRequest, sizes: KeySizes): SessionKeysRequest {
  const { session_ID: sessionId, number_of_keys: count = 1, size_of_key: sizeBits = sizes.defaultBits } = message;
  checkText("session_ID", sessionId);
  checkCount(count);
  checkSize(sizeBits, sizes);
  if (!fitsSessionAnswer(sessionId, count, sizeBits / 8)) {
    throw new Fault("TOO_MANY_KEYS", { text: "the keys wanted do not fit one answer; ask for them in parts" });
  }
  return { app, sessionId, count, sizeBits };
}

function checkText(parameter: string, text: string): void {
  if (text.length >= 1 && text.length <= LIMITS.nameChars) return;
  throw malformed(`${parameter} must have 1 to ${LIMITS.nameChars} characters`);
}

function idOf(parameter: string, text: string): AppId {
  if (ID_PATTERN.test(text)) return appId(text);
  throw malformed(`${parameter} must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -`);
}

function optionalId(parameter: string, text: string | undefined): void {
  if (text !== undefined) idOf(parameter, text);
}
