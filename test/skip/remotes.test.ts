// Tests of src/skip/remotes.ts: patterns for system IDs.

import { describe, expect, test } from "vitest";
import type { AppId } from "../../src/core/ids.ts";
import { fits, remoteFor } from "../../src/skip/remotes.ts";
import { processorMs } from "../support/processor.ts";

describe("draft-cisco-skip: patterns", () => {
  test.each([
    ["Bob", "Bob", true],
    ["Bob", "bob", false],
    ["Bob", "Bobby", false],
    ["", "", true],
    ["*", "", true],
    ["*", "anything", true],
    ["KP_*_LOC1", "KP_7_LOC1", true],
    ["KP_*_LOC1", "KP_7_LOC12", false],
    ["KP_*_LOC1", "KP_a_LOC1_LOC1", true],
    ["KP_?", "KP_1", true],
    ["KP_?", "KP_", false],
    ["KP_[0-4]", "KP_3", true],
    ["KP_[0-4]", "KP_5", false],
    ["KP_[!0-4x]", "KP_5", true],
    ["KP_[!0-4x]", "KP_x", false],
    ["a.b", "axb", false],
    ["[a", "[a", true],
    ["**a*", "bca", true],
  ])("%j and %j", (pattern, text, expected) => {
    expect(fits(pattern, text)).toBe(expected);
  });

  test("take no time that grows beyond the product of the lengths", () => {
    const ms = processorMs(() => expect(fits("*a".repeat(60), `${"a".repeat(8000)}b`)).toBe(false));
    expect(ms).toBeLessThan(1000);
  });

  test("the first row that fits counts", () => {
    const rows = [
      { system: "KP_1", app: "one" as AppId },
      { system: "KP_*", app: "all" as AppId },
    ];
    expect([remoteFor(rows, "KP_1")?.app, remoteFor(rows, "KP_2")?.app, remoteFor(rows, "x")]).toEqual([
      "one",
      "all",
      undefined,
    ]);
  });
});
