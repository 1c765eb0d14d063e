// The rules that are broken on purpose are still lines of the sources: the long tests find each of them broken.

import { expect, test } from "vitest";
import { BREAKS, brokenSource } from "./broken.ts";

test.each(Object.entries(BREAKS))("the code can be changed so that it %s", (name, { file, becomes }) => {
  const broken = brokenSource(name);
  expect(broken.file).toBe(file);
  expect(broken.source).toContain(becomes);
});
