// How a relayed key is protected: `key_extension` of 0x1101 in both directions, with every bound on it.

import { Fault, malformed } from "../../core/fault.ts";
import { linkId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import type { LinkRange, OtpProtection, Part, Protection } from "../../keys/ports/peers.ts";
import { decodeBase64 } from "../../wire/base64.ts";
import type { JsonObject, KeyEntry } from "../../wire/types.ts";
import { base64, idOf, integerOf, objectOf, tagOf } from "./fields.ts";

/** What a pad is longer than its key: these bytes key the tag. */
const TAG_KEY_BYTES = 32;

/** What a 0x1101 says of its one key. */
export interface ProtectedKey {
  readonly protection: Protection;
  /** As it travels; empty under `link`. */
  readonly key: Uint8Array;
  readonly part?: Part;
}

/** The `key_extension` of a protected key. */
export function extensionOf({ protection, part }: Omit<ProtectedKey, "key">): JsonObject {
  return { protection: { ...protection, tag: base64(protection.tag) }, ...part };
}

/** Whatever else is wrong with it. @throws Fault PROTECTION_REFUSED when a key has no protection */
export function checkProtected(keys: readonly KeyEntry[]): void {
  if (keys.every(({ key_extension }) => key_extension?.protection !== undefined)) return;
  throw new Fault("PROTECTION_REFUSED", { text: "the key has no protection" });
}

/**
 * @param letters the base64 in `key`, lent until this returns
 * @throws Fault MALFORMED_REQUEST, PROTECTION_REFUSED
 */
export function protectedKeyOf(entry: KeyEntry, letters: Uint8Array): ProtectedKey {
  const extension = entry.key_extension ?? {};
  const json = objectOf(extension.protection, "key_extension.protection");
  const part = partOf(extension);
  const rest = part && { part };
  if (json.scheme === "link") {
    if (letters.length > 0) throw malformed("key must be empty under the scheme link");
    return {
      protection: { scheme: "link", ...blockOf(json, "protection"), ...taggedBy(json) },
      key: new Uint8Array(0),
      ...rest,
    };
  }
  if (json.scheme !== "otp") {
    throw new Fault("PROTECTION_REFUSED", { text: "the scheme of the protection is not known" });
  }
  const protection: OtpProtection = { scheme: "otp", pads: padsOf(json.pads), ...taggedBy(json) };
  const key = bytesOf(letters);
  const padded = protection.pads.reduce((sum, { length }) => sum + length, 0);
  if (padded !== key.length + TAG_KEY_BYTES) {
    throw malformed(
      `the pads must be ${TAG_KEY_BYTES} bytes longer together than the key of ${key.length}, not ${padded}`,
    );
  }
  return { protection, key, ...rest };
}

const taggedBy = (json: JsonObject): { readonly tag: Uint8Array } => ({ tag: tagOf(json.tag, "protection.tag") });

const blockOf = (json: JsonObject, what: string): Pick<LinkRange, "link" | "run" | "sequence"> => ({
  link: idOf(json.link, `${what}.link`, linkId),
  run: integerOf(json.run, `${what}.run`),
  sequence: integerOf(json.sequence, `${what}.sequence`),
});

function padsOf(list: unknown): readonly LinkRange[] {
  if (!Array.isArray(list) || list.length === 0 || list.length > LIMITS.pads) {
    throw malformed(`protection.pads must be an array of 1 to ${LIMITS.pads} segments`);
  }
  return list.map((item: unknown, index) => segmentOf(item, `protection.pads[${index}]`));
}

function segmentOf(item: unknown, what: string): LinkRange {
  const json = objectOf(item, what);
  const offset = integerOf(json.offset, `${what}.offset`);
  const length = integerOf(json.length, `${what}.length`);
  if (length === 0 || offset + length > LIMITS.blockBytes) {
    throw malformed(`${what} must be at least a byte, and end within ${LIMITS.blockBytes}`);
  }
  return { ...blockOf(json, what), offset, length };
}

function bytesOf(letters: Uint8Array): Uint8Array {
  // A frame bounds the letters already.
  const bytes = new Uint8Array(Math.ceil(letters.length / 4) * 3);
  const length = decodeBase64(letters, bytes);
  if (length >= 1 && length <= LIMITS.blockBytes) return bytes.subarray(0, length);
  throw malformed(`key must be the base64 of 1 to ${LIMITS.blockBytes} bytes under the scheme otp`);
}

function partOf(extension: JsonObject): Part | undefined {
  if (extension.part === undefined && extension.parts === undefined) return undefined;
  const part = integerOf(extension.part, "key_extension.part");
  const parts = integerOf(extension.parts, "key_extension.parts");
  if (parts >= 2 && parts <= LIMITS.parts && part >= 1 && part <= parts) return { part, parts };
  throw malformed(`key_extension.parts must be 2 to ${LIMITS.parts}, and part one of them from 1`);
}
