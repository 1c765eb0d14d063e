// Many things of one kind done in slices, so that no number of them holds the event loop.

import type { Row } from "../../vault/vault.ts";
import type { Context } from "./context.ts";
import { readRow, TABLE } from "./rows.ts";

/** How many go into one change, and what one costs about (µs): its rows, its line in the log, its part of the commit. */
export const PART = 16;
/** What ending one block or key costs, in µs, for the accounts of `Pace`. */
export const ENDED_US = 40;

/**
 * Does `work` with the items, some at a time, each part when housekeeping has its turn. What it is given may have changed
 * since this was called: `work` looks again. @throws what `work` throws
 */
export async function inSlices<T>(
  { pace }: Pick<Context, "pace">,
  items: readonly T[],
  work: (part: readonly T[]) => void | Promise<void>,
): Promise<void> {
  for (let at = 0; at < items.length; at += PART) {
    const part = items.slice(at, at + PART);
    await pace.take("housekeeping", part.length * ENDED_US);
    await work(part);
  }
}

/** Rows that are read at once, and what one costs about (µs). */
const PAGE = 64;
const READ_US = 10;

/** The IDs and rows of a table as of the start, checked, read in slices. @throws Error when a row is none of ours */
export async function readTable<Name extends keyof typeof TABLE>(
  { vault, pace }: Pick<Context, "vault" | "pace">,
  table: Name,
): Promise<(readonly [id: string, row: ReturnType<typeof readRow<Name>>])[]> {
  const rows: (readonly [string, ReturnType<typeof readRow<Name>>])[] = [];
  for (let after: string | undefined; ; after = rows.at(-1)?.[0]) {
    await pace.take("housekeeping", PAGE * READ_US);
    const page = firstOf(vault.rows(TABLE[table], after), PAGE);
    for (const [id, row] of page) rows.push([id, readRow(table, id, row)]);
    if (page.length < PAGE) return rows;
  }
}

function firstOf(rows: Iterable<readonly [string, Row]>, most: number): (readonly [string, Row])[] {
  const first: (readonly [string, Row])[] = [];
  for (const row of rows) {
    first.push(row);
    if (first.length === most) break;
  }
  return first;
}
