// What the store has of borders at a start, and what of it may be used; without the code of borders, for it may be needed no more.

import type { BlockId, Change } from "../../vault/vault.ts";
import type { StoredBorderRow } from "../borders/border-host.ts";
import type { Context } from "../common/context.ts";
import { readRow, TABLE } from "../common/rows.ts";
import { inSlices } from "../common/slices.ts";

/** The blocks that the rows name. */
export const blocksOf = (rows: readonly StoredBorderRow[]): readonly BlockId[] =>
  rows.flatMap(([, { block }]) => (block === "" ? [] : [block as BlockId]));

/** @throws Error when a row is none of ours */
export const readBorderRows = ({ vault }: Pick<Context, "vault">): readonly StoredBorderRow[] =>
  [...vault.rows(TABLE.border)].map(([id, row]) => [id, readRow("border", id, row)] as const);

/**
 * What may be used of the rows found: who asked for what was on its way out is gone, so it is voided. When the store is a
 * restored copy, what came in may have been supplied: it is destroyed, and its IDs are not accepted again.
 * @throws Fault STORE_UNAVAILABLE: the next start might believe what should be gone
 */
export async function settleBorderRows(
  context: Context,
  found: readonly StoredBorderRow[],
  isRestored: boolean,
): Promise<StoredBorderRow[]> {
  const rows: StoredBorderRow[] = [];
  await inSlices(context, found, async (part) => {
    const change = context.vault.change();
    for (const one of part) rows.push(settled(one, isRestored, change));
    await change.commit();
  });
  return rows;
}

function settled([id, row]: StoredBorderRow, isRestored: boolean, change: Change): StoredBorderRow {
  const isOver = row.kind === "out" ? row.state === "sending" : row.kind === "in" && isRestored && row.block !== "";
  if (!isOver) return [id, row];
  const next = { ...row, state: row.kind === "out" ? "voiding" : "gone", block: "" };
  change.put(TABLE.border, id, next).destroy(row.block as BlockId);
  return [id, next];
}
