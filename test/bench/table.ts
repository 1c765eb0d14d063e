// Results as a table for people, with a bar for each aim.

import { boundText, numberText, type Verdict, verdicts, verdictText } from "./aim.ts";
import { lineOf, median, type Result, type Samples } from "./result.ts";

const HEADS = [
  "figure",
  "measured",
  "(lowest – highest)",
  "unit",
  "reference",
  "its value",
  "(lowest – highest)",
  "ratio",
  "bound by (of a core)",
  "aim",
  "│ is the aim",
];
const TO_THE_LEFT = new Set([0, 3, 4, 8, 9, 10]);
/** Cells of a bar up to its aim, and in all. */
const BAR = { aim: 12, all: 18 } as const;

/** Columns with two spaces between, numbers to the right; then what was left out and why. */
export function table(results: readonly Result[]): string {
  const rows = [HEADS, ...results.flatMap(rowsOf)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const cell = (text: string, at: number) =>
    TO_THE_LEFT.has(at) ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  const lines = rows.map((row) => row.map(cell).join("  ").trimEnd());
  const notes = new Set(results.flatMap(({ leftOut }) => (leftOut === undefined ? [] : [leftOut])));
  return [...lines, ...notes].join("\n");
}

/** A row, and one more for each further aim. */
function rowsOf(result: Result): string[][] {
  const { name, unit, measured, reference, leftOut } = result;
  const { ratio } = lineOf(result);
  const [first, ...more] = verdicts(result).map((verdict) => aimCells(verdict, unit));
  const row = [
    name,
    ...numbers(measured),
    unit,
    reference?.of ?? (leftOut === undefined ? "" : "left out"),
    ...numbers(reference),
    ratio === null ? "" : ratio.toFixed(2),
    result.bound ?? "",
    ...(first ?? ["", ""]),
  ];
  return [row, ...more.map((cells) => [...Array<string>(9).fill(""), ...cells])];
}

const aimCells = (verdict: Verdict, unit: string): string[] => [
  `${boundText(verdict.aim, unit)} ${verdictText(verdict)}`,
  verdict.seen === undefined ? "" : bar(verdict.share(verdict.seen)),
];

/** Full where the result is, a line where the aim is. */
export function bar(share: number): string {
  const filled = Math.max(0, Math.min(BAR.all, Math.round(share * BAR.aim)));
  const cells = "█".repeat(filled) + "·".repeat(BAR.all - filled);
  return `${cells.slice(0, BAR.aim)}│${cells.slice(BAR.aim)}`;
}

const numbers = (samples: Samples | undefined): string[] =>
  samples === undefined ? ["", ""] : [numberText(median(samples.values)), spreadText(samples.values)];

function spreadText(values: readonly number[]): string {
  if (values.length < 2) return "";
  return `(${numberText(Math.min(...values))} – ${numberText(Math.max(...values))})`;
}
