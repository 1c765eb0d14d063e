// Nodes that end at each commit in the middle of relays: no pad is used twice.

import { describe, test } from "vitest";
import { CRASHES, crashAtCommits, NAMES } from "../support/pad-crashes.ts";

describe.each(NAMES)("km-%s ends in the middle of relays", (name) => {
  test.each(CRASHES)("design 3.1: at each commit, which is %s, no pad and no key is used twice", (fate) =>
    crashAtCommits(name, fate, Number.POSITIVE_INFINITY),
  );
});
