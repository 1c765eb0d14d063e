// Events of the audit log as lines for a person.

import type { AuditLine } from "../../control/audit/format.ts";

/** Time, kind, then what it tells; nothing of it is a key. */
export function auditText({ at, kind, ...fields }: AuditLine): string {
  const told = Object.entries(fields).map(([name, value]) => `${name}=${valueText(value)}`);
  return [at, kind.padEnd(KIND_WIDTH), ...told].join(" ").trimEnd();
}

const KIND_WIDTH = 18;

/** Control characters would write on the terminal: they are shown as escapes. */
function valueText(value: unknown): string {
  const text = JSON.stringify(value) ?? "";
  return typeof value === "string" && /^[\w.:@,/ -]*$/.test(value) && !value.includes(" ") ? value : text;
}
