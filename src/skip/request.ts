// What a request of an encryptor asks for (draft-cisco-skip 4): its path and its query, checked.

import { Fault, malformed } from "../core/fault.ts";
import { single, splitTarget } from "../http/target.ts";

/** What the four paths ask. Key IDs are UUIDs with hyphens, in lower case. */
export type SkipRequest =
  | { readonly kind: "capabilities" }
  | { readonly kind: "key"; readonly remote: string; readonly sizeBits: number }
  | { readonly kind: "keyById"; readonly remote: string; readonly keyId: string }
  | { readonly kind: "entropy"; readonly bits: number };

const KEY = "/key";
const USUAL_BITS = 256;
const KEY_BITS = [128, 192, 256];
/** Most bits of entropy that one request gets. */
export const MOST_ENTROPY_BITS = 4096;

/**
 * Undefined when the path is none of the four.
 * @throws Fault MALFORMED_REQUEST, KEY_NOT_FOUND, KEY_SIZE_INVALID
 */
export function readRequest(target: string): SkipRequest | undefined {
  const { path, query } = splitTarget(target);
  const parameters = new URLSearchParams(query ?? "");
  if (path === "/capabilities") return { kind: "capabilities" };
  if (path === "/entropy") return { kind: "entropy", bits: entropyBits(single(parameters, "minentropy")) };
  if (path === KEY) return { kind: "key", remote: remoteOf(parameters), sizeBits: sizeOf(single(parameters, "size")) };
  if (!path.startsWith(`${KEY}/`)) return undefined;
  return { kind: "keyById", remote: remoteOf(parameters), keyId: uuidOf(path.slice(KEY.length + 1)) };
}

function remoteOf(parameters: URLSearchParams): string {
  const remote = single(parameters, "remoteSystemID");
  if (remote === undefined || remote === "") throw malformed("remoteSystemID is missing");
  return remote;
}

function sizeOf(text: string | undefined): number {
  if (text === undefined) return USUAL_BITS;
  const bits = KEY_BITS.find((allowed) => String(allowed) === text);
  if (bits === undefined) throw new Fault("KEY_SIZE_INVALID", { text: `size must be ${KEY_BITS.join(", ")}` });
  return bits;
}

function entropyBits(text: string | undefined): number {
  if (text === undefined) return USUAL_BITS;
  const bits = /^[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  if (bits >= 1 && bits <= MOST_ENTROPY_BITS) return 8 * Math.ceil(bits / 8);
  throw malformed(`minentropy must be 1 to ${MOST_ENTROPY_BITS}`);
}

const KEY_ID = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})$/;

function uuidOf(keyId: string): string {
  const groups = KEY_ID.exec(keyId.toLowerCase());
  if (groups === null) throw malformed("keyId must be 32 hexadecimal digits");
  return groups.slice(1).join("-");
}
