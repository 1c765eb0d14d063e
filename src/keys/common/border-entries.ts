// What two KMs of one network tell each other of keys that cross a border at one of them: extension entries of 0x1103.
//
//   out, from the home of who asked to the KM at the border, which fetches the keys by their IDs and sends them on:
//     {"name":"qkm_border_leave","initiator":"app-a1","target":"app-x1","key_IDs":["…"]}     success: they are relayed
//     {"name":"qkm_border_revoke", …}                                                       nobody was given them: void them
//   in, from the KM at the border to the home of the target; `of` names the question:
//     {"name":"qkm_border_keys","of":"…","border":"kme-x","initiator":"app-x1","target":"app-a1","key_IDs":["…"],
//      "lengths":[32],"pads":["…"],"key":"…","tag":"…"}      the keys, one behind the other, under a pad as multicast keys
//     {"name":"qkm_border_void","of":"…","border":"kme-x","initiator":"app-x1","target":"app-a1","key_IDs":["…"]}
//   and back, before the question has success:
//     {"name":"qkm_border_outcome","of":"…","outcome":"relayed","key_IDs":["…"]}

import { type AppId, appId, type KmId, kmId } from "../../core/ids.ts";
import { encodeT, strings } from "../../core/text/encoding.ts";
import type { BorderOutcome, BorderPath } from "../ports/borders.ts";
import type { ExtensionEntry } from "../ports/peers.ts";
import { malformed, text } from "./extension-fields.ts";

/** Every name begins so. */
export const BORDER_ENTRIES = "qkm_border_";
const LEAVE = "qkm_border_leave";
const REVOKE = "qkm_border_revoke";
const KEYS = "qkm_border_keys";
const VOID = "qkm_border_void";
const OUTCOME = "qkm_border_outcome";

/** Key IDs of one entry (020: of one message), and keys that are its pad. */
const MOST_IDS = 1024;
const MOST_PADS = 16;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const OUTCOMES: readonly BorderOutcome[] = ["relayed", "failed", "voided", "failed to void", "key not present"];

/** Keys that leave, named. */
export interface LeavingKeys extends BorderPath {
  readonly keyIds: readonly string[];
}

/** A question about keys that came over a border. */
export interface BorderQuestion extends LeavingKeys {
  readonly of: string;
  readonly border: KmId;
}

/** Keys that came over a border, on their way to the home of their target. */
export interface BorderTransfer extends BorderQuestion {
  /** Bytes of each. */
  readonly lengths: readonly number[];
  /** IDs of the keys that are the pad: named for the target as both of its applications. */
  readonly pads: readonly string[];
  /** Under the pad. */
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** What became of keys, in answer to a question. */
export interface BorderOutcomes {
  readonly of: string;
  readonly outcome: BorderOutcome;
  readonly keyIds: readonly string[];
}

/** What the tag is computed over, before the bytes of `key` as they travel; keyed with the first 32 bytes of the pad. */
export const transferContext = (
  { source, destination }: { readonly source: KmId; readonly destination: KmId },
  { border, initiator, target, keyIds, lengths, pads }: Omit<BorderTransfer, "key" | "tag" | "of">,
): Uint8Array => {
  const sizes = strings(lengths.map(String));
  return encodeT("qkm border", source, destination, border, initiator, target, strings(keyIds), sizes, strings(pads));
};

const pathFields = ({ initiator, target, keyIds }: LeavingKeys) => ({ initiator, target, key_IDs: keyIds });

/** Asks to send keys on. */
export const leaveEntry = (keys: LeavingKeys): ExtensionEntry => ({ name: LEAVE, ...pathFields(keys) });

/** Takes that back. */
export const revokeEntry = (keys: LeavingKeys): ExtensionEntry => ({ name: REVOKE, ...pathFields(keys) });

/** Asks to hold keys. */
export const keysEntry = ({ of, border, lengths, pads, key, tag, ...keys }: BorderTransfer): ExtensionEntry => ({
  name: KEYS,
  ...{ of, border, ...pathFields(keys), lengths, pads },
  key: Buffer.from(key).toString("base64"),
  tag: Buffer.from(tag).toString("base64"),
});

/** Asks to void keys; without IDs all of these applications. */
export const voidEntry = ({ of, border, ...keys }: BorderQuestion): ExtensionEntry => ({
  name: VOID,
  ...{ of, border, ...pathFields(keys) },
});

/** Answers a question. */
export const outcomeEntry = ({ of, outcome, keyIds }: BorderOutcomes): ExtensionEntry => ({
  name: OUTCOME,
  ...{ of, outcome, key_IDs: keyIds },
});

/** Undefined for an entry of another name. @throws Fault MALFORMED_REQUEST */
export const readLeave = (entry: ExtensionEntry): LeavingKeys | undefined =>
  entry.name === LEAVE ? leavingIn(entry) : undefined;

/** The same. */
export const readRevoke = (entry: ExtensionEntry): LeavingKeys | undefined =>
  entry.name === REVOKE ? leavingIn(entry) : undefined;

/** The same. */
export function readKeys(entry: ExtensionEntry): BorderTransfer | undefined {
  if (entry.name !== KEYS) return undefined;
  const question = questionIn(entry);
  const lengths = listIn(entry, "lengths", MOST_IDS).map((length) => {
    if (typeof length === "number" && Number.isSafeInteger(length) && length > 0) return length;
    throw malformed(entry, "lengths");
  });
  const key = bytesIn(entry, "key");
  const isWhole = lengths.reduce((sum, length) => sum + length, 0) === key.length;
  if (question.keyIds.length === 0 || lengths.length !== question.keyIds.length || !isWhole) {
    throw malformed(entry, "lengths");
  }
  const pads = listIn(entry, "pads", MOST_PADS).map((pad) => {
    if (typeof pad === "string") return pad;
    throw malformed(entry, "pads");
  });
  return { ...question, lengths, pads, key, tag: bytesIn(entry, "tag") };
}

/** The same. */
export const readVoid = (entry: ExtensionEntry): BorderQuestion | undefined =>
  entry.name === VOID ? questionIn(entry) : undefined;

/** The same. */
export function readOutcome(entry: ExtensionEntry): BorderOutcomes | undefined {
  if (entry.name !== OUTCOME) return undefined;
  const outcome = OUTCOMES.find((known) => known === entry.outcome);
  if (outcome === undefined) throw malformed(entry, "outcome");
  return { of: text(entry, "of"), outcome, keyIds: idsIn(entry) };
}

function leavingIn(entry: ExtensionEntry): LeavingKeys {
  const keyIds = idsIn(entry);
  if (keyIds.length === 0) throw malformed(entry, "key_IDs");
  return { ...pathIn(entry), keyIds };
}

const questionIn = (entry: ExtensionEntry): BorderQuestion => ({
  ...{ of: text(entry, "of"), border: kmId(text(entry, "border")), ...pathIn(entry) },
  keyIds: idsIn(entry),
});

const pathIn = (entry: ExtensionEntry): { readonly initiator: AppId; readonly target: AppId } => ({
  initiator: appId(text(entry, "initiator")),
  target: appId(text(entry, "target")),
});

function idsIn(entry: ExtensionEntry): readonly string[] {
  return listIn(entry, "key_IDs", MOST_IDS).map((id) => {
    if (typeof id === "string" && UUID.test(id)) return id;
    throw malformed(entry, "key_IDs");
  });
}

function listIn(entry: ExtensionEntry, member: string, most: number): readonly unknown[] {
  const list: unknown = entry[member];
  if (!Array.isArray(list) || list.length > most) throw malformed(entry, member);
  return list;
}

function bytesIn(entry: ExtensionEntry, member: string): Uint8Array {
  const letters = text(entry, member);
  const bytes = Buffer.from(letters, "base64");
  if (bytes.length === 0 || bytes.toString("base64") !== letters) throw malformed(entry, member);
  return bytes;
}
