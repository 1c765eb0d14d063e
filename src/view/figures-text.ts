// Numbers as people read them. Pure; the page uses it too.

const AMOUNT = new Intl.NumberFormat("en");

/** 12,345 */
export const amountText = (value: number): string => AMOUNT.format(value);

/** 2.05 Mbit/s; a dash when nothing is known. */
export function bitRateText(bitsPerS: number | null): string {
  if (bitsPerS === null) return "–";
  for (const [unit, size] of [
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
    ["kbit/s", 1e3],
  ] as const) {
    if (bitsPerS >= size) return `${digits(bitsPerS / size)} ${unit}`;
  }
  return `${Math.round(bitsPerS)} bit/s`;
}

/** 2.1 %; a dash when nothing is known. */
export const percentText = (ratio: number | null): string => (ratio === null ? "–" : `${digits(ratio * 100)} %`);

/** Three digits that count. */
export const digits = (value: number): string =>
  value >= 100 ? String(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** 3 d 4 h, 2 h 5 min, 3 min 2 s, 12 s. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ] as const;
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let left = seconds;
  return parts
    .slice(first, first + 2)
    .map(([size, name]) => {
      const count = Math.floor(left / size);
      left -= count * size;
      return `${count} ${name}`;
    })
    .join(" ");
}
