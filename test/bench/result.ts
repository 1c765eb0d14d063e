// Results: medians and spreads of rounds, as a table for people and as JSON for programs.

/** One side of a measurement: the values of its rounds. */
export interface Samples {
  /** What was measured. */
  readonly of: string;
  readonly values: readonly number[];
}

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly measured: Samples;
  readonly reference?: Samples;
  /** What the project aims at: of the value, or of its ratio to the reference. */
  readonly aim?: { readonly of: "value" | "ratio"; readonly atLeast?: number; readonly atMost?: number };
}

/** What `--json` writes: medians. */
export interface Line {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly reference: string | null;
  readonly referenceValue: number | null;
  readonly ratio: number | null;
}

/** The middle of the values in their order, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

/** Takes both sides in turn, `rounds` times. */
export async function alternate(
  rounds: number,
  one: () => Promise<number>,
  other: () => Promise<number>,
): Promise<readonly [number[], number[]]> {
  const sides: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    sides[0].push(await one());
    sides[1].push(await other());
  }
  return sides;
}

export function lineOf({ name, unit, measured, reference }: Result): Line {
  const value = median(measured.values);
  if (reference === undefined) return { name, value, unit, reference: null, referenceValue: null, ratio: null };
  const referenceValue = median(reference.values);
  return { name, value, unit, reference: reference.of, referenceValue, ratio: value / referenceValue };
}

const HEADS = [
  "figure",
  "measured",
  "(lowest – highest)",
  "unit",
  "reference",
  "its value",
  "(lowest – highest)",
  "ratio",
  "aim",
];

/** Columns with two spaces between; numbers to the right. */
export function table(results: readonly Result[]): string {
  const rows = [HEADS, ...results.map(cells)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const left = new Set([0, 3, 4, 8]);
  const cell = (text: string, at: number) =>
    left.has(at) ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  return rows.map((row) => row.map(cell).join("  ").trimEnd()).join("\n");
}

function cells(result: Result): string[] {
  const { name, unit, measured, reference } = result;
  const { ratio } = lineOf(result);
  const numbers = (samples: Samples | undefined) =>
    samples === undefined ? ["", ""] : [numberText(median(samples.values)), spreadText(samples.values)];
  return [
    name,
    ...numbers(measured),
    unit,
    reference?.of ?? "",
    ...numbers(reference),
    ratio === null ? "" : ratio.toFixed(2),
    aimText(result),
  ];
}

function spreadText(values: readonly number[]): string {
  if (values.length < 2) return "";
  return `(${numberText(Math.min(...values))} – ${numberText(Math.max(...values))})`;
}

/** Three digits that count, or all of a whole number. */
function numberText(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-9))));
  return value.toLocaleString("en", {
    minimumFractionDigits: Math.min(digits, 3),
    maximumFractionDigits: Math.min(digits, 3),
  });
}

function aimText(result: Result): string {
  const { aim } = result;
  if (aim === undefined) return "";
  const { value, ratio } = lineOf(result);
  const seen = aim.of === "value" ? value : (ratio ?? Number.NaN);
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = aim;
  const bound = aim.atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  return `${bound} ${seen >= atLeast && seen <= atMost ? "met" : "MISSED"}`;
}
