// The manual's tables agree with the sources; run with -u to write them anew.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { faultsManual, withTables } from "./manual.ts";

const path = (name: string): string => new URL(`../../../docs/${name}`, import.meta.url).pathname;

it("docs/metrics.md has the counters, gauges and reasons of the sources", async () => {
  await expect(withTables(readFileSync(path("metrics.md"), "utf8"))).toMatchFileSnapshot(path("metrics.md"));
});

it("docs/faults.md has the faults of the sources", async () => {
  await expect(faultsManual()).toMatchFileSnapshot(path("faults.md"));
});
