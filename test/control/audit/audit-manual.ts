// Makes the table of docs/audit.md; `npx vitest run test/control/audit/audit-manual.test.ts -u` writes it.

import { AUDIT_EVENTS } from "../../../src/core/audit-events.ts";

const [OPEN, CLOSE] = ["<!-- events -->", "<!-- /events -->"];

/** The document with its table made anew. @throws Error when a marker misses */
export function withEvents(document: string): string {
  const [from, to] = [document.indexOf(OPEN), document.indexOf(CLOSE)];
  if (from < 0 || to < from) throw new Error("the markers of the events are missing");
  const rows = Object.entries(AUDIT_EVENTS).map(([kind, row]) => {
    const { help, fields, runs, counts } = { runs: undefined, counts: undefined, ...row };
    const told = Object.entries({ ...fields, ...(runs && { runs }), ...(counts && { count: counts }) });
    return `| \`${kind}\` | ${help} | ${told.map(([name, meaning]) => `\`${name}\`: ${meaning}`).join("<br>") || "–"} |`;
  });
  const table = ["| kind | what happened | fields |", "| --- | --- | --- |", ...rows].join("\n");
  return `${document.slice(0, from)}${OPEN}\n\n${table}\n\n${document.slice(to)}`;
}
