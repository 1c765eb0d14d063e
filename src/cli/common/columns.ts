// Plain tables for a terminal of 80 columns.

/** Rows below their heads, columns as wide as their widest cell and two spaces apart. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

const WIDTH = 80;

/** Cut to the width of the screen. */
export const fitted = (line: string): string => (line.length <= WIDTH ? line : `${line.slice(0, WIDTH - 1)}…`);

/** A number with thousands apart, or a dash where there is none. */
export const count = (amount: number | undefined): string => (amount === undefined ? "–" : amount.toLocaleString("en"));

/** Such as `1 link` and `2 links`: of words whose plural is an s. */
export const plural = (amount: number, word: string): string => `${amount} ${word}${amount === 1 ? "" : "s"}`;
