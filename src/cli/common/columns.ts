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

/** Such as `1.5 MB`. */
export function amount(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes >= 1e3 ? `${(bytes / 1e3).toFixed(1)} kB` : `${bytes} B`;
}

/** Such as `2.00 Mbit/s`. */
export function bitRate(bitsPerS: number | undefined): string {
  if (bitsPerS === undefined) return "–";
  if (bitsPerS >= 1e6) return `${(bitsPerS / 1e6).toFixed(2)} Mbit/s`;
  return bitsPerS >= 1e3 ? `${(bitsPerS / 1e3).toFixed(1)} kbit/s` : `${Math.round(bitsPerS)} bit/s`;
}

/** Such as `1.6 %`. */
export const percent = (ratio: number | undefined): string =>
  ratio === undefined ? "–" : `${(100 * ratio).toFixed(1)} %`;
