// docs/controller.md is what the tables say; `-u` writes it.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { BODY_BYTES } from "../../../src/control/controller/request.ts";
import { LIMITS } from "../../../src/core/limits.ts";
import { RESULTS_KEPT } from "../../../src/keys/common/relay-log.ts";
import { MOST_ROUTES } from "../../../src/keys/routes/route-table.ts";
import { withControllerTables } from "./controller-manual.ts";

const path = fileURLToPath(new URL("../../../docs/controller.md", import.meta.url));
const text = readFileSync(path, "utf8");

test("docs/controller.md has the resources and members of the sources", async () => {
  await expect(withControllerTables(text)).toMatchFileSnapshot(path);
});

test("docs/controller.md tells the bounds of the sources", () => {
  for (const sentence of [
    `1 to ${MOST_ROUTES} routes of at most ${LIMITS.transits} KMs`,
    `the last ${RESULTS_KEPT} relays`,
    `too long (${BODY_BYTES.toLocaleString("en")} bytes)`,
  ]) {
    expect(text).toContain(sentence);
  }
});
