// The tag of a key ID: BLAKE2b-128 over T("qkm key", KMs, serial, offset, length, apps), keyed from the KMA-key.

import { encodeT, u32, u64 } from "../../core/encoding.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { KeyIdKey } from "../../vault/vault.ts";
import { sameTag, writeKeyId } from "../common/key-id.ts";

/** Which KMA-key a key comes from, and for whom it is. */
export interface Parties {
  readonly source: KmId;
  readonly destination: KmId;
  readonly initiator: AppId;
  readonly target: AppId;
}

/** The two applications in a key's name. */
export type NamedFor = Pick<Parties, "initiator" | "target">;

interface NamedKey {
  readonly serial: number;
  readonly idKey: KeyIdKey;
  /** In bytes. */
  readonly offset: number;
  readonly length: number;
}

/** The message for one pair of apps, with the position where serial, offset and length lie: only those change. */
interface Template {
  readonly bytes: Uint8Array;
  readonly numbers: DataView;
}

const MAX_TEMPLATES = 1024;
const templates = new Map<string, Template>();
const tag = new Uint8Array(16);
/** Whose template was wanted last: mostly theirs is wanted again. */
let last: { readonly parties: Parties; readonly template: Template } | undefined;

function templateOf(parties: Parties): Template {
  if (last !== undefined && areSame(last.parties, parties)) return last.template;
  const template = knownTemplate(parties);
  last = { parties, template };
  return template;
}

const areSame = (one: Parties, other: Parties): boolean =>
  one.target === other.target &&
  one.initiator === other.initiator &&
  one.source === other.source &&
  one.destination === other.destination;

function knownTemplate({ source, destination, initiator, target }: Parties): Template {
  // IDs have no space, so the name is unambiguous.
  const name = `${source} ${destination} ${initiator} ${target}`;
  const known = templates.get(name);
  if (known !== undefined) return known;
  const bytes = encodeT("qkm key", source, destination, u64(0), u32(0), u32(0), initiator, target);
  const at = encodeT("qkm key", source, destination).length;
  const made = { bytes, numbers: new DataView(bytes.buffer, bytes.byteOffset + at, 16) };
  if (templates.size >= MAX_TEMPLATES) templates.clear();
  templates.set(name, made);
  return made;
}

/** The tag, in memory that the next call overwrites. */
function tagOf(key: NamedKey, parties: Parties): Uint8Array {
  const { bytes, numbers } = templateOf(parties);
  numbers.setUint32(0, Math.floor(key.serial / 2 ** 32));
  numbers.setUint32(4, key.serial % 2 ** 32);
  numbers.setUint32(8, key.offset);
  numbers.setUint32(12, key.length);
  key.idKey.tag(bytes, tag);
  return tag;
}

/** Writes the ID of a key, 36 ASCII bytes; returns the position behind it. */
export function writeName(key: NamedKey, parties: Parties, target: Uint8Array, at: number): number {
  return writeKeyId(key, tagOf(key, parties), target, at);
}

/** Whether a tag that came with an ID is the key's own. */
export function nameFits(carried: Uint8Array, key: NamedKey, parties: Parties): boolean {
  return sameTag(carried, tagOf(key, parties));
}
