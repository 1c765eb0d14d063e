// The directory as it lies in the store: rows of entries, then one row for each later change, and a head that names them.
//
//     head ─> generation 7:  whole 0 │ whole 1 │ … │ whole n     as of revision `base`
//                            change base+1 │ … │ change revision
//
// A whole directory is too large for one change of the store. Its rows are written under a new generation, and the head last:
// until then the old ones count. What a kill leaves of others is removed with the next whole directory.

import type { KmId } from "../../core/ids.ts";
import type { Pace } from "../../core/pace.ts";
import type { Vault } from "../../vault/vault.ts";
import { type DirectoryHeadRow, readRow, TABLE } from "../common/rows.ts";
import { Edition, type EntryChange } from "./edition.ts";
import type { FormerHome } from "./former-homes.ts";

/** Characters of one row, about, and rows of one change. */
const ROW_CHARS = 16_384;
const ROWS_AT_ONCE = 8;
/** About what building and writing those rows takes, in µs. */
const BATCH_US = 2_000;
/** Rows of changes after which the directory is written anew as a whole. */
const MOST_CHANGES = 64;
const HEAD = "head";

/** What the head says beside which rows there are. */
export interface Told {
  readonly revision: number;
  readonly toldMs: number;
  readonly controller: string;
}

interface RowsPorts {
  readonly vault: Pick<Vault, "rows" | "change">;
  readonly pace: Pace;
}

/** Tables of the store in which homes lie. */
interface HomeTables {
  readonly rows: "directory" | "home";
  readonly head: "directoryHead" | "homeHead";
}

/** Reads and writes the rows of the directory, or of what node.toml says of homes. */
export class DirectoryRows {
  readonly #ports: RowsPorts;
  readonly #tables: HomeTables;
  #head: DirectoryHeadRow | undefined;
  /** Rows that do not belong to what the head names. */
  #left: readonly string[] = [];

  constructor(ports: RowsPorts, tables: HomeTables = { rows: "directory", head: "directoryHead" }) {
    this.#ports = ports;
    this.#tables = tables;
  }

  /** Undefined when there is none. @throws Error when what lies there is not what the head says */
  read(): { readonly head: DirectoryHeadRow; readonly edition: Edition } | undefined {
    const { vault } = this.#ports;
    const { rows, head: headTable } = this.#tables;
    for (const [id, row] of vault.rows(TABLE[headTable])) {
      if (id === HEAD) this.#head = readRow(headTable, id, row);
    }
    const head = this.#head;
    const missing = new Set(head === undefined ? [] : namesOf(head));
    const left: string[] = [];
    const edition = new Edition(head?.fingerprint);
    // Row by row, in the order in which they count: nothing of them is held but what is entered.
    for (const [id, row] of vault.rows(TABLE[rows])) {
      if (missing.delete(id)) enter(edition, readRow(rows, id, row).lines);
      else left.push(id);
    }
    this.#left = left;
    if (head === undefined) return undefined;
    const [lost] = missing;
    if (lost !== undefined) throw new Error(`its row ${lost} is not there`);
    if (edition.size === head.apps) return { head, edition };
    throw new Error(`it has ${edition.size} entries, and its head says ${head.apps}`);
  }

  /** Everything anew. @throws Fault STORE_UNAVAILABLE: what was there before counts, now or after the next start */
  async writeWhole(edition: Edition, told: Told): Promise<void> {
    const { vault, pace } = this.#ports;
    const generation = (this.#head?.generation ?? 0) + 1;
    let chunks = 0;
    let change = vault.change();
    for (const lines of chunksOf(edition)) {
      change.put(TABLE[this.#tables.rows], wholeName(generation, chunks), { lines });
      if (++chunks % ROWS_AT_ONCE > 0) continue;
      await change.commit();
      await pace.take("housekeeping", BATCH_US);
      change = vault.change();
    }
    const { size: apps, fingerprint } = edition;
    const head: DirectoryHeadRow = { ...told, generation, chunks, base: told.revision, apps, fingerprint };
    const old = this.#head === undefined ? [] : namesOf(this.#head);
    await change.put(TABLE[this.#tables.head], HEAD, head).commit();
    this.#head = head;
    await this.#remove([...old, ...this.#left]);
  }

  /** Rows that are left over are in nobody's way: the next start knows them again. */
  async #remove(ids: readonly string[]): Promise<void> {
    this.#left = ids;
    const written = new Set(this.#head === undefined ? [] : namesOf(this.#head));
    const change = this.#ports.vault.change();
    for (const id of ids) if (!written.has(id)) change.remove(TABLE[this.#tables.rows], id);
    await change.commit().then(
      () => {
        this.#left = [];
      },
      () => {},
    );
  }

  /** Some entries; `after` is the directory's size and fingerprint with them. @throws Fault STORE_UNAVAILABLE */
  async writeChanges(
    changes: readonly EntryChange[],
    told: Told,
    after: Pick<DirectoryHeadRow, "apps" | "fingerprint">,
  ): Promise<void> {
    const before = this.#head ?? { generation: 1, chunks: 0, base: told.revision - 1 };
    const { generation, chunks, base } = before;
    const head: DirectoryHeadRow = { ...told, generation, chunks, base, ...after };
    const lines = changes.map(lineOf).join("\n");
    const change = this.#ports.vault
      .change()
      .put(TABLE[this.#tables.rows], changeName(generation, told.revision), { lines });
    await change.put(TABLE[this.#tables.head], HEAD, head).commit();
    this.#head = head;
  }

  /** Whether so many changes lie there that the directory should be written as a whole. */
  get isLong(): boolean {
    return this.#head !== undefined && this.#head.revision - this.#head.base >= MOST_CHANGES;
  }
}

const numbered = (number: number): string => String(number).padStart(16, "0");
/** The store gives rows in the order of their names: those of the whole come before those of changes. */
const wholeName = (generation: number, index: number): string => `${generation}/a-whole/${numbered(index)}`;
const changeName = (generation: number, revision: number): string => `${generation}/b-change/${numbered(revision)}`;

function namesOf({ generation, chunks, base, revision }: DirectoryHeadRow): readonly string[] {
  const whole = Array.from({ length: chunks }, (_, index) => wholeName(generation, index));
  const changes = Array.from({ length: revision - base }, (_, index) => changeName(generation, base + index + 1));
  return [...whole, ...changes];
}

/** `app km` with ` km@until` for each former home; `app` alone removes it. No ID has a space. */
const lineOf = ({ app, home, former }: EntryChange): string =>
  [app, ...(home === undefined ? [] : [home, ...former.map(({ km, untilMs }) => `${km}@${untilMs}`)])].join(" ");

function* chunksOf(edition: Edition): Iterable<string> {
  let lines: string[] = [];
  let chars = 0;
  for (const [app, home] of edition.entries()) {
    const line = lineOf({ app, home, former: edition.formerOf(app) });
    lines.push(line);
    chars += line.length + 1;
    if (chars < ROW_CHARS) continue;
    yield lines.join("\n");
    lines = [];
    chars = 0;
  }
  if (lines.length > 0) yield lines.join("\n");
}

/** Without lists of lines or words: there are 100,000 of them, and what they leave behind is memory that the process keeps. */
function enter(edition: Edition, lines: string): void {
  for (let at = 0; at < lines.length; ) {
    const end = indexIn(lines, "\n", at, lines.length);
    const appEnd = indexIn(lines, " ", at, end);
    const homeEnd = indexIn(lines, " ", appEnd + 1, end);
    const app = lines.slice(at, appEnd);
    const home = appEnd === end ? undefined : (lines.slice(appEnd + 1, homeEnd) as KmId);
    const former =
      homeEnd >= end
        ? NO_FORMER
        : lines
            .slice(homeEnd + 1, end)
            .split(" ")
            .map(formerOf);
    edition.restore(app, home, former);
    at = end + 1;
  }
}

const NO_FORMER: readonly FormerHome[] = [];

/** Where `letter` is, or `end` where it is not before that. */
function indexIn(text: string, letter: string, from: number, end: number): number {
  const at = text.indexOf(letter, from);
  return at < 0 || at > end ? end : at;
}

/** An ID may have an @ itself. */
function formerOf(text: string): FormerHome {
  const at = text.lastIndexOf("@");
  return { km: text.slice(0, at) as KmId, untilMs: Number(text.slice(at + 1)) };
}
