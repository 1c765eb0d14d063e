// Colours for tables on a terminal: states by what they mean, headings apart. Nothing where NO_COLOR is set or nobody looks.

import { type InspectColor, styleText } from "node:util";

/** Whole cells of the tables, by what they mean. */
const STATES: readonly (readonly [InspectColor, readonly string[]])[] = [
  ["green", ["up", "ready", "active", "kept", "set"]],
  ["yellow", ["starting", "standby", "unverified", "out-of-use", "no route", "not used"]],
  [
    "red",
    [
      "down",
      "no answer",
      "stuck",
      "refused",
      "failing",
      "token gone",
      "token wrong-pin",
      "token unsuitable",
      "store failing",
    ],
  ],
];
const HEADING = /^(?:link|KM|member|route|directory|recent faults|try,|look at|what it shows)(?: |$)/;

type Stream = Parameters<typeof styleText>[2] extends { stream?: infer S } | undefined ? S : never;

/** Colours one line of a table; cut it to its width before. */
export function coloured(line: string, stream: Stream = process.stdout): string {
  const paint = (format: InspectColor, text: string): string => styleText(format, text, { stream });
  if (HEADING.test(line)) return paint("bold", line);
  return STATES.reduce((text, [format, words]) => {
    // A cell ends with two spaces, the slash between two ends of a link, or the line.
    const cell = new RegExp(`(?<=  |/)(${words.join("|")})(?=  |/|$)`, "g");
    return text.replaceAll(cell, (word) => paint(format, word));
  }, line);
}
