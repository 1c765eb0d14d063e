// docs/audit.md agrees with the table of events; run with -u to write it anew.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { AUDIT_EVENTS } from "../../../src/core/audit-events.ts";
import { withEvents } from "./audit-manual.ts";

const PATH = new URL("../../../docs/audit.md", import.meta.url).pathname;

test("docs/audit.md has the events of the sources", async () => {
  await expect(withEvents(readFileSync(PATH, "utf8"))).toMatchFileSnapshot(PATH);
});

test("no field takes the name of what every line has", () => {
  const names = Object.values(AUDIT_EVENTS).flatMap(({ fields }) => Object.keys(fields));
  expect(names.filter((name) => ["at", "kind", "runs", "count", "seal"].includes(name))).toEqual([]);
});
