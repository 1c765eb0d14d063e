// ETSI GS QKD 014 6.2 and 6.4: what a request asks for, from its query or its JSON body.

import { Fault, malformed } from "../core/fault.ts";
import { type AppId, appId } from "../core/ids.ts";
import { joined, type Provenance, readProvenance } from "../core/topology/provenance.ts";
import { isObject, type JsonObject } from "../http/body.ts";
import { single } from "../http/target.ts";
import type { KeySizes } from "../keys/ports/keys.ts";

/** New keys: how many, of how many bits, and what they are to be like. */
export interface RequestOptions {
  readonly count: number;
  readonly sizeBits: number;
  readonly only?: Provenance;
  readonly rather?: Provenance;
  /** Who else gets the same keys. */
  readonly others?: readonly AppId[];
}

/** What this door allows a request. */
export interface RequestLimits {
  readonly sizes: KeySizes;
  /** Additional slaves that it may name: `max_SAE_ID_count`. */
  readonly mostSlaves: number;
}

/** 5.2: GET takes `number` and `size`; whatever else means something needs POST. @throws Fault */
export function optionsOfQuery(query: string | undefined, sizes: KeySizes): RequestOptions {
  if (query === undefined || query === "") return checked({ count: 1, sizeBits: sizes.defaultBits }, sizes);
  const parameters = new URLSearchParams(query);
  for (const name of POST_ONLY) if (parameters.has(name)) throw malformed(`${name} needs POST`);
  const count = decimal(single(parameters, "number"), "number") ?? 1;
  return checked({ count, sizeBits: decimal(single(parameters, "size"), "size") ?? sizes.defaultBits }, sizes);
}

const SLAVES = "additional_slave_SAE_IDs";
const POST_ONLY = [SLAVES, "extension_mandatory", "extension_optional"] as const;

/**
 * 6.2 Table 9. Unknown members are tolerated, null is the same as absent. `number` and `size` are those of the query where the body
 * has none. @throws Fault
 */
export function optionsOfBody(
  body: JsonObject,
  query: string | undefined,
  { sizes, mostSlaves }: RequestLimits,
): RequestOptions {
  const others = slavesIn(body, mostSlaves);
  const only = mandatory(listOf(body, "extension_mandatory"));
  const rather = optional(listOf(body, "extension_optional"));
  const amount = {
    count: integerOf(body, "number") ?? inQuery(query, "number") ?? 1,
    sizeBits: integerOf(body, "size") ?? inQuery(query, "size") ?? sizes.defaultBits,
  };
  return checked({ ...amount, ...(only && { only }), ...(rather && { rather }), ...(others && { others }) }, sizes);
}

/** Undefined when the body names none. @throws Fault MALFORMED_REQUEST */
function slavesIn(body: JsonObject, most: number): readonly AppId[] | undefined {
  if (member(body, SLAVES) === undefined) return undefined;
  const list = listOf(body, SLAVES);
  if (most === 0) {
    if (list.length > 0) throw malformed(`${SLAVES} must be empty: max_SAE_ID_count is 0`);
    return undefined;
  }
  if (list.length < 1 || list.length > most) throw malformed(`${SLAVES} must name 1 to ${most} (max_SAE_ID_count)`);
  const others = list.map((id) => {
    if (typeof id !== "string" || id.trim() === "") throw malformed(`${SLAVES} must hold SAE IDs`);
    return appId(id);
  });
  if (new Set(others).size < others.length) throw malformed(`${SLAVES} names an SAE twice`);
  return others;
}

/** All of them are known here, or the request is refused. @throws Fault EXTENSION_UNSUPPORTED, MALFORMED_REQUEST */
function mandatory(entries: readonly unknown[]): Provenance | undefined {
  const read = entries.flatMap((entry) => {
    if (!isObject(entry)) throw malformed("extension_mandatory must hold objects");
    return Object.entries(entry).map(([name, value]) => ({ name, says: readProvenance(name, value) }));
  });
  const unknown = read.filter(({ says }) => says === undefined);
  if (unknown.length > 0) {
    const details = unknown.map(({ name }) => ({ extension_mandatory_unsupported: `${name} is not supported` }));
    throw new Fault("EXTENSION_UNSUPPORTED", { details });
  }
  return together(read.flatMap(({ says }) => says ?? []));
}

/** Those that are known here; others are ignored. @throws Fault MALFORMED_REQUEST */
function optional(entries: readonly unknown[]): Provenance | undefined {
  const read = entries.flatMap((entry) => (isObject(entry) ? Object.entries(entry) : []));
  return together(read.flatMap(([name, value]) => readProvenance(name, value) ?? []));
}

const together = (read: readonly Provenance[]): Provenance | undefined =>
  read.length === 0 ? undefined : read.reduce(joined, {});

function checked(options: RequestOptions, sizes: KeySizes): RequestOptions {
  const { count, sizeBits } = options;
  if (count < 1) throw malformed("number must be at least 1");
  if (sizeBits % 8 !== 0) throw new Fault("KEY_SIZE_NOT_BYTES");
  if (sizeBits < sizes.minBits || sizeBits > sizes.maxBits) {
    const bounds = { min_key_size: String(sizes.minBits), max_key_size: String(sizes.maxBits) };
    throw new Fault("KEY_SIZE_INVALID", { details: [bounds] });
  }
  const most = sizes.maxKeys(sizeBits);
  if (count > most) throw new Fault("TOO_MANY_KEYS", { details: [{ max_key_per_request: String(most) }] });
  return options;
}

/** 5.3: GET takes exactly one key ID. @throws Fault MALFORMED_REQUEST */
export function keyIdsOfQuery(query: string | undefined): readonly string[] {
  const parameters = new URLSearchParams(query ?? "");
  if (parameters.has("key_IDs") || parameters.getAll("key_ID").length > 1) throw malformed("several key IDs need POST");
  const id = single(parameters, "key_ID");
  if (id === undefined) throw malformed("key_ID is missing");
  return [id];
}

/** 6.4 Table 11. Members of an entry beside `key_ID` are tolerated. @throws Fault MALFORMED_REQUEST */
export function keyIdsOfBody(body: JsonObject): readonly string[] {
  const ids = listOf(body, "key_IDs").map((entry) => {
    if (isObject(entry) && typeof entry.key_ID === "string") return entry.key_ID;
    throw malformed("each entry of key_IDs must be an object with a string key_ID");
  });
  if (ids.length === 0) throw malformed("key_IDs must name at least one key");
  if (new Set(ids).size < ids.length) throw malformed("key_IDs names a key twice");
  return ids;
}

/** A POST names keys in its body alone. @throws Fault MALFORMED_REQUEST */
export function refuseKeyIdIn(query: string | undefined): void {
  if (query && new URLSearchParams(query).has("key_ID")) throw malformed("key_ID belongs in the body of a POST");
}

const inQuery = (query: string | undefined, name: string): number | undefined =>
  query ? decimal(single(new URLSearchParams(query), name), name) : undefined;

function decimal(text: string | undefined, name: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,10}$/.test(text)) throw malformed(`${name} must be a decimal integer`);
  return Number(text);
}

function integerOf(body: JsonObject, name: string): number | undefined {
  const value = member(body, name);
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw malformed(`${name} must be an integer`);
  return value;
}

function listOf(body: JsonObject, name: string): readonly unknown[] {
  const value = member(body, name) ?? [];
  if (!Array.isArray(value)) throw malformed(`${name} must be an array`);
  return value;
}

/** Own members only; null, which some clients write for an absent member, is undefined. */
const member = (body: JsonObject, name: string): unknown =>
  Object.hasOwn(body, name) ? (body[name] ?? undefined) : undefined;
