// Numbers and words as a table or a sentence has them.

import { expect, test } from "vitest";
import { plural } from "../../../src/cli/common/columns.ts";

test("one thing is one, and none are several", () => {
  expect([0, 1, 2].map((amount) => plural(amount, "link"))).toEqual(["0 links", "1 link", "2 links"]);
});
