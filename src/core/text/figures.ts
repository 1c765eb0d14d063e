// Figures as people read them, on a terminal and on the console line.

/** Such as `1.5 MB`. */
export function byteCount(bytes: number): string {
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
