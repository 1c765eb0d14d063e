// What a vendor's box answers (ETSI GS QKD 014 V1.1.1), read with distrust: bodies are views of locked memory.

import { Fault } from "../../src/core/fault.ts";
import { decodeBase64 } from "../../src/wire/base64.ts";
import { parseKeyPayload } from "../../src/wire/key-payload.ts";
import { BoxFault } from "../common/box-tls.ts";
import type { BoxAnswer } from "./client.ts";

/** What of the status matters here; sizes in bits. */
export interface BoxStatus {
  readonly kme: string | undefined;
  readonly keySize: number;
  readonly minKeySize: number;
  readonly maxKeySize: number;
  readonly maxKeysPerRequest: number;
}

/** One key of an answer: `key` is lent as the answer is. */
export interface BoxKey {
  readonly id: string;
  readonly key: Uint8Array;
}

const OK = 200;
const MOST_SAID = 200;
const KEY_ID = /^[A-Za-z0-9:._-]{1,60}$/;

/** `what`: enc_keys or dec_keys. @throws Fault when it is none: INSUFFICIENT_KEYS, KEY_NOT_FOUND, BOX_UNAVAILABLE */
export function keysOf(answer: BoxAnswer, what: "enc_keys" | "dec_keys"): readonly BoxKey[] {
  if (answer.status !== OK) throw refusal(answer, what);
  try {
    const { json, keys } = parseKeyPayload(answer.body);
    const entries: unknown = Reflect.get(json, "keys");
    if (!Array.isArray(entries) || entries.length !== keys.length) throw new Error("there are no keys in it");
    return keys.map((letters, at) => ({ id: idOf(entries[at]), key: bytesOf(letters) }));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new BoxFault("box-answers-wrong", `the box's answer to ${what} is not as it must be: ${why}`);
  }
}

/** Compared as UUIDs are: whatever case a box writes them in. @throws Error */
function idOf(entry: unknown): string {
  const id: unknown = typeof entry === "object" && entry !== null ? Reflect.get(entry, "key_ID") : undefined;
  if (typeof id !== "string" || !KEY_ID.test(id)) throw new Error("a key has no key_ID");
  return id;
}

/** In the place of its base64. */
const bytesOf = (letters: Uint8Array): Uint8Array => letters.subarray(0, decodeBase64(letters, letters));

/** @throws Fault BOX_UNAVAILABLE */
export function statusOf(answer: BoxAnswer): BoxStatus {
  if (answer.status !== OK) throw refusal(answer, "status");
  const json = objectIn(answer.body);
  const number = (name: string): number | undefined => {
    const value = json?.[name];
    return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
  };
  const keySize = number("key_size") ?? 256;
  const kme = json?.source_KME_ID;
  return {
    kme: typeof kme === "string" ? kme.slice(0, MOST_SAID) : undefined,
    keySize,
    minKeySize: number("min_key_size") ?? 8,
    maxKeySize: number("max_key_size") ?? keySize,
    maxKeysPerRequest: number("max_key_per_request") ?? 1,
  };
}

function objectIn(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString("utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const UNAUTHORIZED = 401;
const FORBIDDEN = 403;

/** What a status other than 200 means. */
function refusal({ status, retryAfterMs, body }: BoxAnswer, what: string): Fault {
  const message = objectIn(body)?.message;
  const said = typeof message === "string" ? `: ${message.slice(0, MOST_SAID)}` : "";
  const text = `the box answers ${status} to ${what}${said}`;
  const again = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status === UNAVAILABLE || status === TOO_MANY_REQUESTS) return new Fault("INSUFFICIENT_KEYS", { text, ...again });
  if (status === UNAUTHORIZED || status === FORBIDDEN) return new BoxFault("own-certificate", text);
  if (what === "dec_keys" && status >= 400 && status < 500) return new Fault("KEY_NOT_FOUND", { text });
  return new BoxFault("box-refuses", text);
}
