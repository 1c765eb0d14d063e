// Tests of src/keys/streams/index-runs.ts.

import fc from "fast-check";
import { expect, test } from "vitest";
import { IndexRuns } from "../../../src/keys/streams/index-runs.ts";

test("indexes in any order are found again, in as few runs as there are gaps", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { maxLength: 60 }), (indexes) => {
      const runs = new IndexRuns();
      for (const index of indexes) runs.add(index);
      const all = new Set(indexes);
      for (let index = 0; index <= 41; index++) expect(runs.has(index)).toBe(all.has(index));
      expect(runs.runs).toBe([...all].filter((index) => !all.has(index - 1)).length);
    }),
  );
});
