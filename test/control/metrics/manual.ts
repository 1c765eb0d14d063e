// Makes the tables of docs/metrics.md and all of docs/faults.md; `npx vitest run test/control/metrics/manual.test.ts -u` writes them.

import { GAUGES, type GaugeName } from "../../../src/control/metrics/gauges.ts";
import { counterMetric, gaugeMetric } from "../../../src/control/metrics/metrics.ts";
import { COUNTERS, type CounterName, END_REASONS, SESSION_ENDS } from "../../../src/core/counters.ts";
import { FAULTS } from "../../../src/core/fault.ts";

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

const code = (text: string): string => `\`${text}\``;
const codes = (texts: readonly string[]): string => (texts.length === 0 ? "–" : texts.map(code).join(", "));

/** By the name in the markers. */
const TABLES: Readonly<Record<string, () => string>> = {
  counters: () =>
    table(
      ["counter", "labels", "what it counts"],
      Object.entries(COUNTERS).map(([name, row]) => [
        code(counterMetric(name as CounterName)),
        codes(row.labels),
        row.help,
      ]),
    ),
  gauges: () =>
    table(
      ["gauge", "labels", "what it tells"],
      Object.entries(GAUGES).map(([name, row]) => [code(gaugeMetric(name as GaugeName)), codes(row.labels), row.help]),
    ),
  reasons: () =>
    table(
      ["reason", "meaning"],
      Object.entries(END_REASONS).map(([reason, text]) => [code(reason), text]),
    ),
  sessions: () =>
    table(
      ["reason", "why the session ended"],
      Object.entries(SESSION_ENDS).map(([reason, text]) => [code(reason), text]),
    ),
};

/** The document with what is between `<!-- name -->` and `<!-- /name -->` made anew. @throws Error when a marker misses */
export function withTables(document: string): string {
  return Object.entries(TABLES).reduce((text, [name, make]) => {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(open), text.indexOf(close)];
    if (from < 0 || to < from) throw new Error(`the markers of ${name} are missing`);
    return `${text.slice(0, from)}${open}\n\n${make()}\n\n${text.slice(to)}`;
  }, document);
}

const FAULTS_INTRO = `# Faults

Whatever goes wrong is one of these. Over Ak and Kx the \`response\` is \`CODE: text\`; over ETSI GS QKD 014 the status is as
below and the text is the \`message\` (401 has no body). *Retry* tells whether the same request may succeed later; where the
key manager knows when, it says so in \`Retry-After\` and in the details. The text may be more precise than the one given here.

This page is made from the table in \`src/core/fault.ts\`; a test notices when it is stale.
`;

export function faultsManual(): string {
  const rows = Object.entries(FAULTS).map(([name, row]) => [
    code(name),
    String(row.http),
    row.retry ? "yes" : "no",
    row.text,
    row.manual,
  ]);
  return `${FAULTS_INTRO}\n${table(["code", "HTTP", "retry", "text", "what it means, what to do"], rows)}\n`;
}
