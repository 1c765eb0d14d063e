// What two KMs tell each other of keys that several applications get: extension entries of 0x1103, written and read.
//
//   {"name":"qkm_multicast","initiator":"app-a1","targets":["app-c1"],"key_IDs":["…"],"pads":["…"],"key":"…","tag":"…"}
//       the keys, one behind the other, under a pad: key of the two KMs' pool, named by its key IDs
//   {"name":"qkm_multicast_void","initiator":"app-a1","key_IDs":["…"]}      nobody is given them: destroy them

import { type AppId, appId, type KmId } from "../../core/ids.ts";
import { LIMITS } from "../../core/limits.ts";
import { encodeT, strings } from "../../core/text/encoding.ts";
import { malformed, text } from "../common/extension-fields.ts";
import type { ExtensionEntry } from "../ports/peers.ts";

const NAME = "qkm_multicast";
const VOID = "qkm_multicast_void";
/** Bytes of key in one message: what the block of a copy holds at most, so that every slot holds it. */
export const MULTICAST_BYTES = 4096;
/** Bytes of a pad beyond its key: they key the tag. */
export const TAG_KEY_BYTES = 32;
const MAX_KEYS = MULTICAST_BYTES / 8;
const MAX_PADS = 16;
const KEY_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Which keys, and for whom. */
export interface MulticastKeys {
  readonly initiator: AppId;
  /** Applications at home at the KM that is told. */
  readonly targets: readonly AppId[];
  readonly keyIds: readonly string[];
}

/** The keys on their way to another KM: all of one size. */
export interface MulticastTransfer extends MulticastKeys {
  /** IDs of the keys that are the pad: named for the initiator and the first of the targets. */
  readonly pads: readonly string[];
  /** Under the pad. */
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** Whether an ID is one of multicast keys: a random UUID, where those of other keys certify themselves. */
export const isMulticastId = (id: string): boolean => id.charAt(14) === "4" && KEY_ID.test(id.toLowerCase());

/** What the tag is computed over, before the bytes of `key` as they travel; keyed with the first 32 bytes of the pad. */
export const multicastContext = (
  { source, destination }: { readonly source: KmId; readonly destination: KmId },
  { initiator, targets, keyIds, pads }: Omit<MulticastTransfer, "key" | "tag">,
): Uint8Array =>
  encodeT("qkm multicast", source, destination, initiator, strings(targets), strings(keyIds), strings(pads));

/** The entry that carries keys. */
export const transferEntry = ({ initiator, targets, keyIds, pads, key, tag }: MulticastTransfer): ExtensionEntry => ({
  name: NAME,
  ...{ initiator, targets, key_IDs: keyIds, pads },
  key: Buffer.from(key).toString("base64"),
  tag: Buffer.from(tag).toString("base64"),
});

/** The entry that takes them back. */
export const voidEntry = ({ initiator, keyIds }: Omit<MulticastKeys, "targets">): ExtensionEntry => ({
  name: VOID,
  initiator,
  key_IDs: keyIds,
});

/** Undefined for an entry of another name. @throws Fault MALFORMED_REQUEST */
export function readTransfer(entry: ExtensionEntry): MulticastTransfer | undefined {
  if (entry.name !== NAME) return undefined;
  const keyIds = idsIn(entry);
  const key = bytesIn(entry, "key");
  if (key.length > MULTICAST_BYTES || key.length % keyIds.length > 0) throw malformed(entry, "key");
  return {
    initiator: appId(text(entry, "initiator")),
    targets: listIn(entry, "targets", LIMITS.multicastApps).map(appId),
    keyIds,
    pads: listIn(entry, "pads", MAX_PADS),
    key,
    tag: bytesIn(entry, "tag"),
  };
}

/** Undefined for an entry of another name. @throws Fault MALFORMED_REQUEST */
export function readVoid(entry: ExtensionEntry): Omit<MulticastKeys, "targets"> | undefined {
  if (entry.name !== VOID) return undefined;
  return { initiator: appId(text(entry, "initiator")), keyIds: idsIn(entry) };
}

function idsIn(entry: ExtensionEntry): readonly string[] {
  const ids = listIn(entry, "key_IDs", MAX_KEYS);
  if (ids.some((id) => !KEY_ID.test(id))) throw malformed(entry, "key_IDs");
  return ids;
}

/** Strings, each once. */
function listIn(entry: ExtensionEntry, member: string, most: number): readonly string[] {
  const list: unknown = entry[member];
  if (!Array.isArray(list) || list.length === 0 || list.length > most) throw malformed(entry, member);
  const texts = list.filter((item: unknown) => typeof item === "string");
  if (new Set(texts).size < list.length) throw malformed(entry, member);
  return texts;
}

function bytesIn(entry: ExtensionEntry, member: string): Uint8Array {
  const letters = text(entry, member);
  const bytes = Buffer.from(letters, "base64");
  if (bytes.length === 0 || bytes.toString("base64") !== letters) throw malformed(entry, member);
  return bytes;
}
