// Results as a chart: a bar for each aim, the line where it is met, and how far the rounds lie apart.

import { boundText, numberText, type Verdict, verdicts, verdictText } from "./aim.ts";
import { median, type Result } from "./result.ts";

const WIDTH = 1_000;
const ROW = 34;
const TOP = 64;
/** Where bars begin, where they meet their aim, and where they are cut off. */
const BARS = { from: 330, aim: 630, to: 780 } as const;
const COLOURS = { met: "#2a7f62", missed: "#c8702a", spread: "#333", line: "#444", text: "#222", faint: "#777" };

interface Row {
  readonly result: Result;
  readonly verdict: Verdict;
}

/** An SVG picture of all results that have an aim; `below`: one line, for example the machine. */
export function chart(results: readonly Result[], below: string): string {
  const rows = results.flatMap((result) => verdicts(result).map((verdict): Row => ({ result, verdict })));
  const bottom = TOP + rows.length * ROW;
  const height = bottom + 44;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    `  font-family="sans-serif" font-size="13" fill="${COLOURS.text}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(16, 28, "What was measured against what it is to be", 'font-size="17" font-weight="bold"'),
    text(BARS.aim, TOP - 10, "aim", `text-anchor="middle" fill="${COLOURS.faint}"`),
    ...rows.map((row, at) => rowOf(row, TOP + at * ROW)),
    `<line x1="${BARS.aim}" x2="${BARS.aim}" y1="${TOP - 4}" y2="${bottom}" stroke="${COLOURS.line}"/>`,
    text(16, bottom + 26, below, `fill="${COLOURS.faint}"`),
    "</svg>\n",
  ].join("\n");
}

const across = (share: number): number => Math.min(BARS.to, BARS.from + Math.max(0, share) * (BARS.aim - BARS.from));

function rowOf({ result, verdict }: Row, y: number): string {
  const { name, measured, reference, unit } = result;
  const { seen, share, aim } = verdict;
  const label = [
    text(16, y + 13, name, 'font-weight="bold"'),
    text(16, y + 27, reference === undefined ? measured.of : `against ${reference.of}`, small),
    text(BARS.to + 14, y + 15, saidOf(result, verdict), ""),
    text(BARS.to + 14, y + 28, `${boundText(aim, unit)} ${verdictText(verdict)}`, small),
  ];
  if (seen === undefined) return label.join("");
  const colour = share(seen) >= 1 ? COLOURS.met : COLOURS.missed;
  const width = across(share(seen)) - BARS.from;
  return [...label, rectangle({ x: BARS.from, y: y + 5, width, height: 18 }, colour), spread(verdict, y + 14)].join("");
}

const small = `font-size="11" fill="${COLOURS.faint}"`;

function saidOf({ measured, unit }: Result, { aim, seen }: Verdict): string {
  const value = `${numberText(median(measured.values))} ${unit}`;
  return aim.of === "value" || seen === undefined ? value : `${seen.toFixed(2)}  (${value})`;
}

/** From the worst round to the best. */
function spread({ rounds, share }: Verdict, y: number): string {
  if (rounds.length < 2) return "";
  const ends = [Math.min(...rounds), Math.max(...rounds)].map((seen) => across(share(seen)).toFixed(1));
  return `<line x1="${ends[0]}" x2="${ends[1]}" y1="${y}" y2="${y}" stroke="${COLOURS.spread}" stroke-width="2"/>`;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const rectangle = ({ x, y, width, height }: Box, colour: string): string =>
  `<rect x="${x}" y="${y}" width="${width.toFixed(1)}" height="${height}" fill="${colour}"/>`;

const text = (x: number, y: number, words: string, attributes: string): string =>
  `<text x="${x}" y="${y}" ${attributes}>${escaped(words)}</text>`;

/** For text in XML. */
export const escaped = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
