// Every row of the store is checked when the token comes: what is not as it was written is lost, with an alarm.

import type { KmId } from "../../core/ids.ts";
import type { Pace } from "../../core/pace.ts";
import type { Log, Meter } from "../../core/ports.ts";
import { encodeT } from "../../core/text/encoding.ts";
import type { Token } from "../../device/token.ts";
import { type ChangeOp, PROBE, type RecordStore } from "../store/record-store.ts";
import { type FoundRow, type RowTags, VAULT_TABLE } from "../store/row-tags.ts";
import type { Row } from "../vault.ts";
import { SUSPECT, suspectMark } from "./rollback-guard.ts";

/** Label of the MAC key that makes the key of the tags, and of the counter that says since when all rows have one. */
export const rowsLabel = (km: KmId): string => `qkm-rows-${km}`;

/** Rows that are checked at once, and what one costs about (µs). */
const PAGE = 64;
const CHECK_US = 15;

/** What checking the rows of a store needs. */
export interface RowCheckParts {
  readonly km: KmId;
  readonly recordStore: RecordStore;
  readonly rowTags: RowTags;
  readonly pace: Pace;
  readonly log: Log;
  readonly meter: Meter;
}

/**
 * Brings the key, then reads every row once. What lies on the disk never decides whether a row without a tag is believed: a
 * counter in the token does.
 *
 *     counter 0   the first start since there are tags: rows without one are believed if their fields are in range, and get one;
 *                 then the counter becomes 1. Cut off in between, it begins again
 *     counter 1   a row without a tag is broken
 *
 * A row that is broken is removed. If it stood for more than itself, the same commit marks the store as suspect.
 * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE
 */
export async function checkRows(token: Token, parts: RowCheckParts): Promise<void> {
  const { km, recordStore, rowTags, log } = parts;
  const label = rowsLabel(km);
  const key = await (await token.macKey(label, true)).mac(encodeT("qkm row tags"));
  rowTags.open(key);
  key.fill(0);
  const areTagged = (await token.counter(label)) > 0;
  let rows = 0;
  for (const table of recordStore.tables()) {
    if (!rowTags.rules.untagged.has(table)) rows += await checkTable(parts, table, areTagged);
  }
  if (areTagged) return;
  await token.counter(label, 1);
  if (rows > 0) log.info({ rows }, "the rows of the store have tags from now on");
}

/** Returns how many rows it has. */
async function checkTable(parts: RowCheckParts, table: string, areTagged: boolean): Promise<number> {
  const { recordStore, rowTags, pace } = parts;
  const lost = new LostRows(parts, table);
  let rows = 0;
  for (let after: string | undefined; ; ) {
    await pace.take("housekeeping", PAGE * CHECK_US);
    const ops: ChangeOp[] = [];
    let read = 0;
    for (const [id, bytes] of recordStore.rawRows(table, after)) {
      const found = rowTags.read(table, id, bytes);
      const row = soundRow(parts, { table, id, areTagged }, found);
      if (row === undefined) ops.push(...lost.add(id));
      else if (found.state === "old") ops.push({ op: "put", table, id, row });
      after = id;
      read += 1;
      if (read === PAGE) break;
    }
    rows += read;
    if (ops.length > 0) await recordStore.commit(ops);
    if (read < PAGE) break;
  }
  lost.end();
  return rows;
}

/** Undefined when it is not as it was written, or nothing that this KM could have written. */
function soundRow(
  { rowTags }: RowCheckParts,
  { table, id, areTagged }: { readonly table: string; readonly id: string; readonly areTagged: boolean },
  found: FoundRow,
): Row | undefined {
  if (found.state === "broken" || (found.state === "old" && areTagged)) return undefined;
  return table === VAULT_TABLE || rowTags.rules.isSound(table, id, found.row) ? found.row : undefined;
}

/** Rows of the vault's own that say all by being there, or nothing. */
const UNREAD = new Set([SUSPECT, PROBE]);

/** The rows of one table that are lost: one alarm for all of them. */
class LostRows {
  readonly #parts: RowCheckParts;
  readonly #table: string;
  readonly #isSingle: boolean;
  #rows = 0;

  constructor(parts: RowCheckParts, table: string) {
    this.#parts = parts;
    this.#table = table;
    this.#isSingle = parts.rowTags.rules.single.has(table);
  }

  /** What takes its place. */
  add(id: string): readonly ChangeOp[] {
    if (this.#table === VAULT_TABLE && UNREAD.has(id)) return [];
    this.#rows += 1;
    this.#parts.meter.add("rows_lost", { table: this.#table });
    if (this.#rows === 1) this.#alarm(id);
    const remove = { op: "remove", table: this.#table, id } as const;
    return this.#isSingle ? [remove] : [remove, suspectMark()];
  }

  end(): void {
    const { log } = this.#parts;
    if (this.#rows > 1) log.warn({ table: this.#table, rows: this.#rows }, "so many rows of this table were lost");
  }

  #alarm(row: string): void {
    const { log, meter } = this.#parts;
    meter.add("alarms", { alarm: "row_damaged" });
    log.error(
      { alarm: "row_damaged", table: this.#table, row },
      this.#isSingle
        ? "a row of the store is not as it was written: the key that it names is destroyed. Check the disk, and who can write to it"
        : "a row of the store is not as it was written, and nobody knows what was used: all keys in the store are destroyed, " +
            "and new key comes from the links. Check the disk, and who can write to it",
    );
  }
}
