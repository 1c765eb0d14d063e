// The rules that are broken on purpose have their markers in the sources: the long tests find each of them broken.

import { expect, test } from "vitest";
import { BREAKS, brokenSource, markers } from "./broken.ts";

test.each(Object.entries(BREAKS))("the code can be changed so that it %s", (name, { marker }) => {
  const { source } = brokenSource(name);
  expect(source).toContain(`// rule: ${marker}\n`);
});

test("every marker in the sources is broken by something, and there once", () => {
  const inUse = Object.values(BREAKS).map(({ marker }) => marker);
  expect(
    markers()
      .map(({ marker }) => marker)
      .sort(),
  ).toEqual(inUse.sort());
});
