// What the audit log says of one link block, or of one KMA-key: where did every byte go.

import { batchesFrom } from "./folder.ts";
import { type AuditLine, linesOf } from "./format.ts";
import { parseExtents } from "./gather.ts";

/** A block of a QKD link, as audit events name it. */
export interface BlockName {
  readonly link: string;
  readonly run: number;
  readonly sequence: number;
}

/** A KMA-key, as audit events name it. */
export interface KmaName {
  /** The other KM; the KM's own ID for keys between two applications of it. */
  readonly peer: string;
  readonly serial: number;
}

/** The events that tell of a link block; of KMA-keys that were made of it, or came in it, see `traceKmaKey`. */
export function traceBlock(dir: string, block: BlockName): { readonly lines: AuditLine[]; readonly keys: KmaName[] } {
  const lines = [...eventsOf(dir)].filter((line) => tellsOfBlock(line, block));
  const keys = lines.flatMap(({ kind, peer, serial }): KmaName[] =>
    kind.startsWith("kma_") && typeof peer === "string" && typeof serial === "number" ? [{ peer, serial }] : [],
  );
  return { lines, keys };
}

function* eventsOf(dir: string): Generator<AuditLine> {
  for (const batch of batchesFrom(dir, 0)) yield* linesOf(batch);
}

function tellsOfBlock(line: AuditLine, { link, run, sequence }: BlockName): boolean {
  const name = `${link}:${run}:${sequence}`;
  if (line.block === `link:${name}`) return true;
  if (line.kind === "kma_key_made") return String(line.blocks).split(",").includes(name);
  if (line.link !== link || line.run !== run) return false;
  return line.sequence === undefined ? isIn(line, sequence) : line.sequence === sequence;
}

const isIn = ({ runs = "" }: AuditLine, value: number): boolean =>
  parseExtents(runs).some(({ first, end }) => first <= value && value < end);

/** What tells of KMA-keys in one direction alone; serials are given by each end for itself. */
const AT_SOURCE = ["kma_key_made", "kma_keys_ready", "relay_given_up", "lost_at_restart", "keys_supplied"];
const AT_DESTINATION = ["kma_key_held", "kma_part_held", "kma_parts_ended", "keys_fetched", "fetched_found"];
/** Their runs are serials. */
const OF_SERIALS = ["kma_keys_ready", "kma_keys_spent", "kma_keys_found"];

/** The events that tell of a KMA-key, in each of its two directions. */
export function traceKmaKey(dir: string, key: KmaName): Readonly<Record<"source" | "destination", AuditLine[]>> {
  const found: Record<"source" | "destination", AuditLine[]> = { source: [], destination: [] };
  for (const line of eventsOf(dir)) {
    if (line.peer !== key.peer) continue;
    if (OF_SERIALS.includes(line.kind) ? !isIn(line, key.serial) : line.serial !== key.serial) continue;
    if (AT_SOURCE.includes(line.kind) || line.role === "source") found.source.push(line);
    else if (AT_DESTINATION.includes(line.kind) || line.role === "destination") found.destination.push(line);
  }
  return found;
}

/** Bytes by what became of them. */
export function bytesBy(lines: readonly AuditLine[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  const add = (what: string, bytes: number): void => void sums.set(what, (sums.get(what) ?? 0) + bytes);
  for (const line of lines) {
    const { kind, runs = "", bytes, reason } = line;
    if (kind === "keys_supplied" || kind === "keys_fetched") add(kind.slice("keys_".length), bytesIn(runs));
    if (kind === "pads_used") add(`pad ${line.direction}`, bytesIn(runs));
    if (kind === "kma_key_ended" && typeof bytes === "number") add(`destroyed (${reason})`, bytes);
  }
  return sums;
}

const bytesIn = (runs: string): number => parseExtents(runs).reduce((sum, { first, end }) => sum + end - first, 0);
