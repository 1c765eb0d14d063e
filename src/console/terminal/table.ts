// Tables that fit the screen, however long the names in them are.

import { printable, WIDTH, wrapped } from "./text.ts";

type Row = readonly string[];

const GAP = 2;

/**
 * Rows below their heads, two spaces apart. Where that is too wide, each row's first cell has a line of its own above
 * the rest; where that is too wide still, every cell has.
 */
export function table(heads: Row, rows: readonly Row[]): string[] {
  const cells = rows.map((row) => row.map(printable));
  if (cells.length === 0) return [];
  if (widthOf([heads, ...cells]) <= WIDTH) return columns([heads, ...cells]);
  const rests = [["", ...heads.slice(1)], ...cells.map((row) => ["", ...row.slice(1)])];
  if (widthOf(rests) > WIDTH) return cells.flatMap((row) => card(heads, row));
  const [head = "", ...lines] = columns(rests);
  return [heads[0] ?? "", head, ...cells.flatMap((row, at) => [...wrapped(row[0] ?? "", GAP), lines[at] ?? ""])];
}

/** One thing: a name and a value a line. */
export function list(pairs: readonly (readonly [name: string, value: string])[]): string[] {
  const width = Math.max(...pairs.map(([name]) => name.length)) + GAP;
  return pairs.flatMap(([name, value]) => wrapped(name.padEnd(width) + printable(value), width));
}

const widthsOf = (rows: readonly Row[]): number[] =>
  (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));

const widthOf = (rows: readonly Row[]): number => widthsOf(rows).reduce((sum, width) => sum + width + GAP, -GAP);

function columns(rows: readonly Row[]): string[] {
  const widths = widthsOf(rows);
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(" ".repeat(GAP))
      .trimEnd(),
  );
}

function card(heads: Row, row: Row): string[] {
  const named = row.slice(1).map((value, at) => [`  ${heads[at + 1] || "note"}`, value] as const);
  return [...wrapped(row[0] ?? "", GAP), ...list(named.filter(([, value]) => value !== ""))];
}
