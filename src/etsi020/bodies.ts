// The bodies of ETSI GS QKD 020, read from JSON and written as JSON. Keys are never part of what is read here.

import type { AppId } from "../core/ids.ts";
import { ID_PATTERN } from "../core/ids.ts";
import type { BorderAck, BorderArrival, BorderOutcome, BorderPath, BorderVoid } from "../keys/ports/borders.ts";
import { Problem, type ProblemType } from "./problems.ts";

type Json = Readonly<Record<string, unknown>>;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** 020: key IDs of one acknowledgement, and acknowledgements of one request; here of all requests. */
export const MOST_IDS = 1024;
const MOST_URL = 1024;
const MOST_MESSAGE = 4096;
const MOST_SAES = 1024;

const OUTCOMES: readonly BorderOutcome[] = ["relayed", "failed", "voided", "failed to void", "key not present"];

/** How a body is refused: what is missing, and what is wrong. */
interface Words {
  readonly missing: ProblemType;
  readonly wrong: ProblemType;
}

const TRANSFER: Words = { missing: "missing-parameters", wrong: "invalid-parameter" };
const VOID: Words = { missing: "void-request-not-understood", wrong: "void-request-not-understood" };
const ACK: Words = { missing: "ack-not-understood", wrong: "ack-not-understood" };

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Own members only; null is the same as absent. */
const member = (of: Json, name: string): unknown => (Object.hasOwn(of, name) ? (of[name] ?? undefined) : undefined);

const wrong = (words: Words, name: string, why: string): Problem => new Problem(400, words.wrong, { [name]: why });

function required(of: Json, name: string, words: Words): unknown {
  const value = member(of, name);
  if (value === undefined) throw new Problem(400, words.missing, { [name]: "is missing" });
  return value;
}

function objectOf(value: unknown, name: string, words: Words): Json {
  if (!isObject(value)) throw wrong(words, name, "must be an object");
  return value;
}

function listOf(value: unknown, name: string, words: Words): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(words, name, "must be an array");
  if (value.length > MOST_IDS) throw wrong(words, name, `must have at most ${MOST_IDS} entries`);
  return value;
}

function keyId(value: unknown, words: Words): string {
  if (typeof value !== "string" || !UUID.test(value)) throw wrong(words, "key_id", "must be a UUID");
  return value;
}

/** Other URI characters than those of our applications' IDs are of no application that could be meant. */
function saeId(value: unknown, name: string, words: Words): AppId {
  if (typeof value !== "string" || !ID_PATTERN.test(value)) {
    throw wrong(words, name, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -");
  }
  return value as AppId;
}

/** @throws Problem: keys for several applications take several routes, of which there are none */
function pathOf(body: Json, words: Words): BorderPath {
  const initiator = saeId(required(body, "initiator_sae_id", words), "initiator_sae_id", words);
  const targets = listOf(required(body, "target_sae_ids", words), "target_sae_ids", words);
  const ids = targets.slice(0, MOST_SAES).map((target) => saeId(target, "target_sae_ids", words));
  const [target, ...others] = ids;
  if (target === undefined) throw new Problem(400, words.missing, { target_sae_ids: "must name an SAE" });
  if (others.length > 0) {
    throw new Problem(503, "key-routing-error", { no_route_multiple_targets: "keys are for one target here" });
  }
  if (target === initiator) throw wrong(words, "target_sae_ids", "must not name the initiator");
  return { initiator, target };
}

function callbackOf(body: Json, words: Words): string | undefined {
  const value = member(body, "ack_callback_url");
  if (value === undefined) return undefined;
  const url = typeof value === "string" && value.length <= MOST_URL ? urlOf(value) : undefined;
  if (url === undefined)
    throw wrong(words, "ack_callback_url", `must be an https URL of at most ${MOST_URL} characters`);
  return url.href;
}

/** An https URL without a user's name or a fragment; undefined when it is something else. */
export function urlOf(text: string): URL | undefined {
  const url = URL.parse(text);
  const isPlain = url?.protocol === "https:" && url.username === "" && url.password === "" && url.hash === "";
  return isPlain ? url : undefined;
}

/** @throws Problem: no extension is known here */
function checkExtensions(body: Json, words: Words): void {
  const mandatory = objectOf(member(body, "extension_mandatory") ?? {}, "extension_mandatory", words);
  const names = Object.keys(mandatory);
  if (names.length > 0) {
    const unknown = { unsupported_mandatory_extension: names.join(", ").slice(0, MOST_MESSAGE) };
    throw new Problem(503, "server-side-general-error", unknown);
  }
  objectOf(member(body, "extension_optional") ?? {}, "extension_optional", words);
}

/**
 * `ext_key_container`; `letters` are the values of its keys in their order, empty where there is none.
 * @throws Problem
 */
export function arrivalOf(body: unknown, letters: readonly Uint8Array[]): BorderArrival {
  const container = objectOf(body, "body", TRANSFER);
  const entries = listOf(required(container, "keys", TRANSFER), "keys", TRANSFER);
  if (entries.length === 0) throw new Problem(400, TRANSFER.missing, { keys: "must have a key" });
  const keys = entries.map((entry, index) => {
    const key = objectOf(entry, "keys", TRANSFER);
    const value = letters[index];
    if (typeof required(key, "value", TRANSFER) !== "string" || value === undefined || value.length === 0) {
      throw wrong(TRANSFER, "value", "must be base64");
    }
    objectOf(member(key, "extension") ?? {}, "extension", TRANSFER);
    return { keyId: keyId(required(key, "key_id", TRANSFER), TRANSFER), letters: value };
  });
  checkExtensions(container, TRANSFER);
  return { keys, ...pathOf(container, TRANSFER), callback: callbackOf(container, TRANSFER) };
}

/** `void_container`. @throws Problem */
export function voidOf(body: unknown): BorderVoid {
  const container = objectOf(body, "body", VOID);
  const ids = listOf(member(container, "key_ids") ?? [], "key_ids", VOID).map((id) => keyId(id, VOID));
  objectOf(member(container, "extension") ?? {}, "extension", VOID);
  const confirmation = member(container, "all_confirmation");
  if (confirmation !== undefined && typeof confirmation !== "boolean") {
    throw wrong(VOID, "all_confirmation", "must be true or false");
  }
  const path = pathOf(container, VOID);
  if (ids.length === 0 && confirmation !== true) {
    throw new Problem(400, "no-key-ids-or-confirmation", { all_confirmation: "must be true to void all keys" });
  }
  return { keyIds: [...new Set(ids)], ...path, callback: callbackOf(container, VOID) };
}

/** Acknowledgements: an array of `ack_container`, or a single one. @throws Problem */
export function acksOf(body: unknown): readonly BorderAck[] {
  return listOf(Array.isArray(body) ? body : [body], "body", ACK).map((one): BorderAck => {
    const container = objectOf(one, "ack_container", ACK);
    const ids = listOf(required(container, "key_id_container", ACK), "key_id_container", ACK);
    const status = required(container, "ack_status", ACK);
    const outcome = OUTCOMES.find((known) => known === status);
    if (outcome === undefined) throw wrong(ACK, "ack_status", `must be one of: ${OUTCOMES.join(", ")}`);
    const message = member(container, "message") ?? "";
    if (typeof message !== "string" || message.length > MOST_MESSAGE) {
      throw wrong(ACK, "message", `must be text of at most ${MOST_MESSAGE} characters`);
    }
    objectOf(member(container, "extension") ?? {}, "extension", ACK);
    const keyIds = ids.map((entry) => {
      const key = objectOf(entry, "key_id_container", ACK);
      return keyId(required(key, "key_id", ACK), ACK);
    });
    return { ...pathOf(container, ACK), outcome, message, keyIds };
  });
}

const pathJson = ({ initiator, target }: BorderPath) => ({ initiator_sae_id: initiator, target_sae_ids: [target] });

/** An array of `ack_container`. */
export const acksText = (acks: readonly BorderAck[]): string =>
  JSON.stringify(
    acks.map((ack) => ({
      key_id_container: ack.keyIds.map((key_id) => ({ key_id })),
      ack_status: ack.outcome,
      ...pathJson(ack),
      ...(ack.message !== "" && { message: ack.message }),
    })),
  );

/** A `void_container`. */
export const voidText = (path: BorderPath, keyIds: readonly string[], callback: string | undefined): string =>
  JSON.stringify({ key_ids: keyIds, ...pathJson(path), ...(callback !== undefined && { ack_callback_url: callback }) });

/** What follows the keys of an `ext_key_container`: from the end of their array on. */
export const containerEnd = (path: BorderPath, callback: string | undefined): string =>
  `],${JSON.stringify({ ...pathJson(path), ...(callback !== undefined && { ack_callback_url: callback }) }).slice(1)}`;

/** The answer to GET /kmapi/versions. */
export const VERSIONS = JSON.stringify({ versions: ["v1"], capabilities: ["synchronous_mode"] });
