// The manual's tables of boards agree with their data; run with -u to write them anew.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { withBoards } from "./manual.ts";

const path = new URL("../../docs/boards.md", import.meta.url).pathname;

it("docs/boards.md has the boards that there are", async () => {
  await expect(withBoards(readFileSync(path, "utf8"))).toMatchFileSnapshot(path);
});
