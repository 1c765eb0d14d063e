// Events on their way to the audit log: those that differ in their extents alone are one line. Bounded.

import type { AuditExtent, AuditFields, AuditKind } from "../../core/audit-events.ts";

type Values = Readonly<Record<string, string | number | undefined>>;

interface Run {
  readonly first: number;
  end: number;
}

interface Entry {
  readonly wallMs: number;
  readonly kind: AuditKind;
  readonly fields: Values;
  readonly runs: Run[];
  count: number;
}

/** About what a line takes, and each of its runs. */
const LINE_BYTES = 240;
const RUN_BYTES = 12;
/** So many objects of fields are remembered. */
const MOST_RECENT = 16;

/** Events that wait for their seal, as the bytes of their lines. */
export class AuditGather {
  readonly #wallMs: () => number;
  readonly #mostBytes: number;
  #entries = new Map<string, Entry>();
  /** By the objects of fields that came last: in the hot path the same ones come again. */
  #recent: { readonly fields: Values; readonly entry: Entry }[] = [];
  #lost = 0;
  /** About what waits. */
  bytes = 0;

  /** What does not fit `mostBytes` is counted, and told in the line `events_lost`. */
  constructor(wallMs: () => number, mostBytes: number) {
    this.#wallMs = wallMs;
    this.#mostBytes = mostBytes;
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#lost === 0;
  }

  add<Kind extends AuditKind>(kind: Kind, fields: AuditFields<Kind>, extent: AuditExtent = {}): void {
    const entry = this.#known(kind, fields) ?? this.#entry(kind, fields);
    if (entry === undefined || !this.#extend(entry, extent)) this.#lost++;
  }

  #known(kind: AuditKind, fields: Values): Entry | undefined {
    for (const { fields: known, entry } of this.#recent) if (known === fields && entry.kind === kind) return entry;
    return undefined;
  }

  /** Undefined when there is no room for another. */
  #entry(kind: AuditKind, fields: Values): Entry | undefined {
    let name: string = kind;
    for (const field in fields) name += `\0${fields[field]}`;
    const entry = this.#entries.get(name) ?? this.#begin(name, kind, fields);
    if (entry === undefined) return undefined;
    if (this.#recent.length >= MOST_RECENT) this.#recent.shift();
    this.#recent.push({ fields, entry });
    return entry;
  }

  #begin(name: string, kind: AuditKind, fields: Values): Entry | undefined {
    if (this.bytes + LINE_BYTES > this.#mostBytes) return undefined;
    const entry: Entry = { wallMs: this.#wallMs(), kind, fields, runs: [], count: 0 };
    this.#entries.set(name, entry);
    this.bytes += LINE_BYTES;
    return entry;
  }

  /** False when there is no room for another run. */
  #extend(entry: Entry, { first, end, count = 1 }: AuditExtent): boolean {
    if (first !== undefined && end !== undefined) {
      const open = entry.runs.at(-1);
      if (open?.end === first) open.end = end;
      else if (this.bytes + RUN_BYTES > this.#mostBytes) return false;
      else {
        entry.runs.push({ first, end });
        this.bytes += RUN_BYTES;
      }
    }
    entry.count += count;
    return true;
  }

  /** Everything that waits, as lines of JSON in the order in which each was begun. */
  take(): Buffer {
    const entries = [...this.#entries.values()];
    if (this.#lost > 0) {
      entries.push({ wallMs: this.#wallMs(), kind: "events_lost", fields: {}, runs: [], count: this.#lost });
    }
    this.#entries = new Map();
    this.#recent = [];
    this.#lost = 0;
    this.bytes = 0;
    return Buffer.from(entries.map(lineOf).join(""));
  }
}

function lineOf({ wallMs, kind, fields, runs, count }: Entry): string {
  const line = {
    at: new Date(wallMs).toISOString(),
    kind,
    ...fields,
    ...(runs.length > 0 && { runs: runsText(runs) }),
    ...(count !== 1 && { count }),
  };
  return `${JSON.stringify(line)}\n`;
}

/** Ascending; what touches is one, what overlaps stays apart: it would tell of a byte used twice. */
function runsText(runs: readonly Run[]): string {
  const joined: Run[] = [];
  for (const { first, end } of runs.toSorted((a, b) => a.first - b.first)) {
    const open = joined.at(-1);
    if (open?.end === first) open.end = end;
    else joined.push({ first, end });
  }
  return joined.map(({ first, end }) => (end === first + 1 ? `${first}` : `${first}-${end - 1}`)).join(",");
}

/** The runs of a line, `first` up to but without `end`. */
export function parseExtents(text: string): { readonly first: number; readonly end: number }[] {
  return text.split(",").flatMap((part) => {
    const found = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part);
    if (found === null) return [];
    const first = Number(found[1]);
    return [{ first, end: Number(found[2] ?? first) + 1 }];
  });
}
