// The manual's table of commands agrees with the sources; run with -u to write it anew.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { withCommands } from "./manual.ts";

const MANUAL = new URL("../../docs/console.md", import.meta.url).pathname;

test("docs/console.md has the commands of the sources", async () => {
  await expect(withCommands(readFileSync(MANUAL, "utf8"))).toMatchFileSnapshot(MANUAL);
});
