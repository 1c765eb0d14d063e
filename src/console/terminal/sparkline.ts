// Rates over time as a row of small bars.

const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;
/** Values kept of each thing: what a screen shows. */
const KEPT = 32;
/** Things whose values are kept. */
const MOST_NAMES = 256;

/** One bar for each value, the highest for the largest of them; blanks before, as wide as `width`. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const most = Math.max(...shown, 0);
  const bars = shown.map((value) => {
    const height = most === 0 ? 0 : Math.round((Math.max(0, value) / most) * (BARS.length - 1));
    return BARS[height] ?? BARS[0];
  });
  return bars.join("").padStart(width);
}

/** The last values of some things by name. Bounded. */
export class Histories {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name) ?? [];
    if (!this.#values.has(name) && this.#values.size >= MOST_NAMES) return;
    this.#values.set(name, [...values, value].slice(-KEPT));
  }

  of(name: string): readonly number[] {
    return this.#values.get(name) ?? [];
  }
}
