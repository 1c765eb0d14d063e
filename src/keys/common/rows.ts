// The rows of the books as they lie in the store, read back with distrust.

import type { AppId, KmId, LinkId } from "../../core/ids.ts";
import type { BlockId, Row } from "../../vault/vault.ts";

/** Tables of the store. */
export const TABLE = {
  block: "block",
  link: "link",
  pad: "pad",
  source: "source",
  held: "held",
  peer: "peer",
  meta: "meta",
  route: "route",
  whole: "whole",
  multicast: "multicast",
  directory: "directory",
  directoryHead: "directoryHead",
  home: "home",
  homeHead: "homeHead",
  border: "border",
} as const;

/** A link block that is stored and unused. */
export interface BlockRow extends Row {
  readonly link: LinkId;
  readonly run: number;
  readonly sequence: number;
  /** Whether this end may decide to use it. Stamped at intake. */
  readonly own: boolean;
}

/** The last block that a link brought: nothing up to it is taken again. */
export interface LinkRow extends Row {
  readonly run: number;
  readonly highest: number;
}

/** How far a link's pads have gone: ours (own), and the other end's as they came here (seen). Absent before the first. */
export interface PadRow extends Row {
  readonly ownRun?: number;
  readonly ownSequence?: number;
  readonly ownOffset?: number;
  readonly seenRun?: number;
  readonly seenSequence?: number;
  readonly seenOffset?: number;
}

/** How a KMA-key came to its destination: over the links of a neighbour, through other KMs, or in parts over several routes. */
export type KeyRoute = "direct" | "relayed" | "multipath";

/** A KMA-key at its source. `mark`: everything before it may have been supplied. */
export interface SourceRow extends Row {
  readonly peer: KmId;
  readonly serial: number;
  readonly block: BlockId;
  readonly length: number;
  readonly state: "reserved" | "ready" | "open";
  readonly mark: number;
  readonly bornAt: number;
  /** The mark is exact: written at an orderly stop. */
  readonly exact: boolean;
  /** Absent in rows of before there were others than `direct`. */
  readonly route?: KeyRoute;
}

/** A KMA-key at its destination. `fetched`: one bit per 8 bytes. `witness`: the source's mark as announced. */
export interface ReceivedRow extends Row {
  readonly peer: KmId;
  readonly serial: number;
  readonly block: BlockId;
  readonly length: number;
  readonly bornAt: number;
  readonly fetched: Uint8Array;
  readonly witness: number;
}

/** Serials with one peer, in both directions. */
export interface PeerRow extends Row {
  /** As source: the next serial to give, the highest proved, those given up and not yet told (runs). */
  readonly nextSerial: number;
  readonly proved: number;
  readonly givenUp: string;
  /** As destination: the highest serial accepted, and which of those just below it were (runs). */
  readonly accepted: number;
  readonly window: string;
}

/** The row of the age clock, both in ms. */
export interface ClockRow extends Row {
  readonly ageMs: number;
  readonly wallMs: number;
  /** Age without the time switched off; absent in stores of earlier versions. */
  readonly onMs?: number;
}

/** Routes to a destination that the controller has set, as text. */
export interface RouteRow extends Row {
  readonly routes: string;
}

/**
 * Whole keys shared with a strict peer, in one block. Ours are `reserved`, then `ready`; theirs are `held`, and `gone` when
 * all are fetched: their block is destroyed, their IDs are not accepted again.
 */
export interface UnprotectedRow extends Row {
  readonly peer: KmId;
  readonly state: "reserved" | "ready" | "held" | "gone";
  readonly block: BlockId;
  readonly bornAt: number;
  /** JSON: for each key its ID and its length in bytes, as they lie in the block. */
  readonly keys: string;
  /** One byte per key: 1 before it leaves. */
  readonly taken: Uint8Array;
}

/**
 * One application's copy of keys that several applications get, in a block of its own. `reserved` until all of them can be
 * given theirs, then `held`.
 */
export interface MulticastRow extends Row {
  /** Home of the initiator. */
  readonly peer: KmId;
  readonly initiator: AppId;
  /** Whose copy it is. */
  readonly app: AppId;
  readonly state: "reserved" | "held";
  readonly block: BlockId;
  readonly bornAt: number;
  /** As in `UnprotectedRow`. */
  readonly keys: string;
  readonly taken: Uint8Array;
}

/** Some entries of the controller's directory, or changes of them: one a line. */
export interface DirectoryRow extends Row {
  readonly lines: string;
}

/** The directory that is in force, and which rows of it make it up. */
export interface DirectoryHeadRow extends Row {
  readonly revision: number;
  /** Rows of another generation are left over from a change that did not come to its end. */
  readonly generation: number;
  /** How many rows have the directory as it was at revision `base`; later ones have a row of changes each. */
  readonly chunks: number;
  readonly base: number;
  readonly apps: number;
  readonly fingerprint: string;
  /** When it was told last, in ms since 1970, and by whom. */
  readonly toldMs: number;
  readonly controller: string;
}

/**
 * What a border has (ETSI GS QKD 020). `in`: keys that came, `held`, and `gone` when all were fetched, voided or ended. `out`: keys
 * on their way, `sending`, then `voiding` when they are not wanted any more. `void`: an ID that was voided. `ack`: an outcome that
 * the other end was not told yet.
 */
export interface BorderRow extends Row {
  readonly border: KmId;
  readonly kind: "in" | "out" | "void" | "ack";
  /** Of `ack`: the `ack_status`. */
  readonly state: string;
  readonly initiator: AppId;
  readonly target: AppId;
  readonly bornAt: number;
  /** JSON: for each key its ID and its length in bytes, as they lie in the block. */
  readonly keys: string;
  /** One byte per key of `in`: 1 before it leaves. */
  readonly taken: Uint8Array;
  /** Empty where there is none. */
  readonly block: string;
  /** Of `ack`: where it is wanted, and the sentence that goes with it. */
  readonly callback: string;
  readonly message: string;
}

type FieldTypes = "string" | "number" | "boolean" | "bytes" | "number?" | "string?";

const DIRECTORY_HEAD = {
  revision: "number",
  generation: "number",
  chunks: "number",
  base: "number",
  apps: "number",
  fingerprint: "string",
  toldMs: "number",
  controller: "string",
} as const;

const SHAPES = {
  block: { link: "string", run: "number", sequence: "number", own: "boolean" },
  link: { run: "number", highest: "number" },
  pad: {
    ownRun: "number?",
    ownSequence: "number?",
    ownOffset: "number?",
    seenRun: "number?",
    seenSequence: "number?",
    seenOffset: "number?",
  },
  source: {
    peer: "string",
    serial: "number",
    block: "string",
    length: "number",
    state: "string",
    mark: "number",
    bornAt: "number",
    exact: "boolean",
    route: "string?",
  },
  held: {
    peer: "string",
    serial: "number",
    block: "string",
    length: "number",
    bornAt: "number",
    fetched: "bytes",
    witness: "number",
  },
  peer: { nextSerial: "number", proved: "number", givenUp: "string", accepted: "number", window: "string" },
  meta: { ageMs: "number", wallMs: "number", onMs: "number?" },
  route: { routes: "string" },
  whole: { peer: "string", state: "string", block: "string", bornAt: "number", keys: "string", taken: "bytes" },
  multicast: {
    peer: "string",
    initiator: "string",
    app: "string",
    state: "string",
    block: "string",
    bornAt: "number",
    keys: "string",
    taken: "bytes",
  },
  directory: { lines: "string" },
  directoryHead: DIRECTORY_HEAD,
  home: { lines: "string" },
  homeHead: DIRECTORY_HEAD,
  border: {
    border: "string",
    kind: "string",
    state: "string",
    initiator: "string",
    target: "string",
    bornAt: "number",
    keys: "string",
    taken: "bytes",
    block: "string",
    callback: "string",
    message: "string",
  },
} as const satisfies Record<keyof typeof TABLE, Record<string, FieldTypes>>;

interface RowOf {
  block: BlockRow;
  link: LinkRow;
  pad: PadRow;
  source: SourceRow;
  held: ReceivedRow;
  peer: PeerRow;
  meta: ClockRow;
  route: RouteRow;
  whole: UnprotectedRow;
  multicast: MulticastRow;
  directory: DirectoryRow;
  directoryHead: DirectoryHeadRow;
  /** As rows of the directory, of what node.toml says. */
  home: DirectoryRow;
  homeHead: DirectoryHeadRow;
  border: BorderRow;
}

/** @throws Error that names table and field: a store that holds something else is not ours to guess at */
export function readRow<T extends keyof RowOf>(table: T, id: string, row: Row): RowOf[T] {
  for (const [field, kind] of Object.entries(SHAPES[table])) {
    if (!isOfKind(kind, row[field]))
      throw new Error(`the store's ${table} row ${id} has no ${kind} '${field}'; restore nothing, zeroise it`);
  }
  return row as RowOf[T];
}

const STATES: Readonly<Partial<Record<keyof RowOf, readonly string[]>>> = {
  source: ["reserved", "ready", "open"] satisfies SourceRow["state"][],
  whole: ["reserved", "ready", "held", "gone"] satisfies UnprotectedRow["state"][],
};
/** Numbers that need not be whole: times in ms. */
const TIMES = new Set(["bornAt", "ageMs", "wallMs", "onMs"]);

/** Whether it is a row of a table of ours with all its fields, each in its range. */
export function isSoundRow(table: string, _id: string, row: Row): boolean {
  if (!isTable(table)) return false;
  for (const [field, kind] of Object.entries(SHAPES[table])) {
    const value = row[field];
    if (!isOfKind(kind, value)) return false;
    if (typeof value === "number" && !(TIMES.has(field) ? Number.isFinite(value) : isCount(value))) return false;
  }
  const states = STATES[table];
  if (states !== undefined && !states.some((state) => state === row.state)) return false;
  return !isBeyondLength(row);
}

const isTable = (name: string): name is keyof typeof SHAPES => Object.hasOwn(SHAPES, name);
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** A mark behind the end of its key, or a bitmap that is not as long as its key. */
function isBeyondLength({ length, mark, fetched }: Row): boolean {
  if (typeof length !== "number") return false;
  if (typeof mark === "number" && mark > length) return true;
  return fetched instanceof Uint8Array && fetched.length < Math.ceil(length / 64);
}

function isOfKind(kind: FieldTypes, value: unknown): boolean {
  if (kind === "bytes") return value instanceof Uint8Array;
  if (kind.endsWith("?")) return value === undefined || typeof value === kind.slice(0, -1);
  return typeof value === kind;
}

/** The row ID of a KMA-key. */
export const kmaRow = (peer: KmId, serial: number): string => `${peer}/${serial}`;
/** The store's name for a link block. */
export const linkBlock = (link: LinkId, run: number, sequence: number): BlockId =>
  `link:${link}:${run}:${sequence}` as BlockId;
/** The store's names for the two copies of a block of the token's random generator: one to supply from, one to fetch from. */
export const localBlock = (serial: number, end: "source" | "destination"): BlockId =>
  `local:${end}:${serial}` as BlockId;
/** The store's names for whole keys: ours as they are relayed and as they are supplied, and those of a strict peer. */
export const unprotectedBlock = (copy: "relayed" | "own" | "held", id: string): BlockId =>
  `whole:${copy}:${id}` as BlockId;
/** The store's name for one application's copy of multicast keys. */
export const multicastBlock = (id: string): BlockId => `multicast:${id}` as BlockId;
/** The store's name for keys that came over a border, or are to leave over one. */
export const borderBlock = (direction: "in" | "out", id: string): BlockId => `border:${direction}:${id}` as BlockId;
/** The store's name for a KMA-key that came under a pad or in parts. */
export const receivedBlock = (source: KmId, serial: number): BlockId => `held:${source}:${serial}` as BlockId;
/** The store's name for one part of a KMA-key of which not all have come. */
export const partBlock = (source: KmId, serial: number, part: number): BlockId =>
  `part:${source}:${serial}:${part}` as BlockId;
/** The store's name, at its source, for a KMA-key that is the XOR of several link blocks. */
export const combinedBlock = (destination: KmId, serial: number): BlockId => `own:${destination}:${serial}` as BlockId;
