// What of a configuration a running KM takes at once, and what only its next start does.

import { LINK_OPTIONS } from "../../drivers/index.ts";
import type { Path } from "./lines.ts";
import { SCHEMA, type Written } from "./schema.ts";

const keysOf = (table: object): object => Reflect.get(Reflect.get(table, "wrapped") ?? table, "entries") ?? {};

const tablesWith = (key: string): readonly string[] =>
  Object.entries(SCHEMA.entries)
    .filter(([, table]) => Object.hasOwn(keysOf(table), key))
    .map(([name]) => name);

/** Tables whose TLS material a reload takes: every door has `require_crl`. */
const TLS_TABLES = tablesWith("require_crl");
/** Doors for many. */
const DOOR_TABLES = tablesWith("max_connections");
const TLS_KEYS = ["certificate", "key", "trust", "crl", "require_crl"];

/**
 * The keys that a reload takes; a new one is a line here, if whoever uses it reads it anew each time. Lists of tables end in
 * `[]`: alone they say that entries may come and go, with a key that it may change in an entry that stays.
 */
export const RELOADED: ReadonlySet<string> = new Set([
  "node.log_level",
  ...TLS_TABLES.flatMap((table) => TLS_KEYS.map((key) => `${table}.${key}`)),
  "etsi020.client_certificate",
  "etsi020.client_key",
  "etsi020.server_trust",
  "etsi020.callback_url",
  "etsi020.timeout_ms",
  "etsi020.borders",
  ...DOOR_TABLES.map((table) => `${table}.max_connections`),
  "etsi014.max_additional_slaves",
  "skip.system",
  "skip.remotes",
  "skip.psk",
  "token.epoch_s",
  "token.epoch_seals",
  "audit.max_bytes",
  "syslog.max_bytes",
  "supply.default_key_bits",
  "supply.timeout_ms",
  "supply.max_waiting",
  "supply.max_age_s",
  "supply.fetch_window_s",
  "supply.relay_timeout_ms",
  "supply.stock_low",
  "supply.stock_high",
  "supply.max_held",
  "supply.quota_bits_per_s",
  "supply.quota_burst_bits",
  "sessions.max",
  "sessions.max_per_app",
  "sessions.max_keys",
  "sessions.idle_s",
  "sessions.notify_timeout_ms",
  "sessions.acknowledge_timeout_ms",
  "links[]",
  "links[].cost",
  "links[].driver",
  "links[].port",
  ...Object.keys(LINK_OPTIONS).map((key) => `links[].${key}`),
  "links[].share",
  "links[].keep_blocks",
  "topology[]",
  "topology[].kms",
  "topology[].cost",
  "peers[]",
  "peers[].address",
  "peers[].further_addresses",
  "peers[].paths",
  "peers[].fetch_apps",
  "apps[]",
  "apps[].home",
  "apps[].border",
  "apps[].certificates",
  "apps[].quota_bits_per_s",
  "apps[].quota_burst_bits",
]);

/** Lists of tables, and the key by which an entry is the same one in two configurations. */
const LISTS: Readonly<Record<string, string>> = { links: "id", topology: "link", peers: "id", apps: "id" };

/** One difference between two configurations. */
export interface ConfigChange {
  /** Such as `supply.timeout_ms`, `apps.app-a3` or `apps.app-a3.home`. */
  readonly key: string;
  readonly what: "added" | "removed" | "changed";
  /** Of a value that has changed, as JSON. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  /** False for what needs a restart. */
  readonly isTaken: boolean;
  /** Where it stands in the new configuration; for what was removed, where it would. */
  readonly path: Path;
}

/** What a reload makes of two configurations. */
export interface ConfigMerge {
  /** What runs afterwards: the new configuration as far as a reload takes it. */
  readonly written: Written;
  readonly changes: readonly ConfigChange[];
}

type Table = Readonly<Record<string, unknown>>;

const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Compares what runs with what the file says now. Both have every default filled in. */
export function mergeConfig(running: Written, next: Written): ConfigMerge {
  const changes: ConfigChange[] = [];
  const merged: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(running), ...Object.keys(next)])) {
    const [before, after]: [unknown, unknown] = [Reflect.get(running, name), Reflect.get(next, name)];
    const idKey = LISTS[name];
    if (idKey !== undefined) merged[name] = mergeList({ name, idKey }, entriesOf(before), entriesOf(after), changes);
    else if (isTable(before) && isTable(after)) {
      const place = { key: name, pattern: name, path: [name] };
      merged[name] = mergeTable(place, before, after, changes);
    } else merged[name] = mergeValue({ key: name, pattern: name, path: [name] }, before, after, changes);
  }
  return { written: withoutGaps(merged) as Written, changes };
}

/** How a place is told, how it is found in `RELOADED`, and where it stands. */
interface Place {
  readonly key: string;
  readonly pattern: string;
  readonly path: Path;
}

function mergeTable({ key, pattern, path }: Place, before: Table, after: Table, changes: ConfigChange[]): Table {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return withoutGaps(
    Object.fromEntries(
      [...names].map((name) => {
        const place = { key: `${key}.${name}`, pattern: `${pattern}.${name}`, path: [...path, name] };
        return [name, mergeValue(place, before[name], after[name], changes)];
      }),
    ),
  );
}

function mergeValue({ key, pattern, path }: Place, before: unknown, after: unknown, changes: ConfigChange[]): unknown {
  const [from, to] = [JSON.stringify(before), JSON.stringify(after)];
  if (from === to) return before;
  const isTaken = RELOADED.has(pattern);
  const what = from === undefined ? "added" : to === undefined ? "removed" : "changed";
  // A whole table is named alone.
  const values = isTable(before) || isTable(after) ? { from: undefined, to: undefined } : { from, to };
  changes.push({ key, what, ...values, isTaken, path });
  return isTaken ? after : before;
}

interface List {
  readonly name: string;
  readonly idKey: string;
}

const entriesOf = (value: unknown): readonly Table[] => (Array.isArray(value) ? value.filter(isTable) : []);

/** In the order of the new configuration; what may not go stands at the end. */
function mergeList(
  { name, idKey }: List,
  before: readonly Table[],
  after: readonly Table[],
  changes: ConfigChange[],
): readonly Table[] {
  const mayComeOrGo = RELOADED.has(`${name}[]`);
  const known = new Map(before.map((entry) => [entry[idKey], entry]));
  const merged: Table[] = [];
  const note = (entry: Table, what: "added" | "removed", path: Path): void => {
    changes.push({ key: `${name}.${entry[idKey]}`, what, from: undefined, to: undefined, isTaken: mayComeOrGo, path });
  };
  for (const [at, entry] of after.entries()) {
    const old = known.get(entry[idKey]);
    known.delete(entry[idKey]);
    const place = { key: `${name}.${entry[idKey]}`, pattern: `${name}[]`, path: [name, at] };
    if (old !== undefined) merged.push(mergeTable(place, old, entry, changes));
    else {
      note(entry, "added", [name, at]);
      if (mayComeOrGo) merged.push(entry);
    }
  }
  for (const entry of known.values()) {
    note(entry, "removed", [name]);
    if (!mayComeOrGo) merged.push(entry);
  }
  return merged;
}

const withoutGaps = (table: Table): Table =>
  Object.fromEntries(Object.entries(table).filter(([, value]) => value !== undefined));
