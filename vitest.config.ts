import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

// `vitest run --mode long` runs the long tests alone, `--mode memory` those that read the memory of processes, `--mode board`
// those of appliances in QEMU.
const KINDS = ["long", "memory", "board"] as const;
const TIMEOUTS_MS = { quick: 30_000, long: 600_000, memory: 600_000, board: 1_800_000 };

/** Files that start processes take longest and mostly wait: they begin, so that none is left alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number =>
      ["/test/system/restore", "/test/system/", "/test/cli/"].findIndex((part) => moduleId.includes(part)) + 1 || 9;
    return files.toSorted((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

export default defineConfig(({ mode }) => {
  const kind = KINDS.find((name) => name === mode);
  const others = KINDS.filter((name) => name !== kind).map((name) => `test/**/*.${name}.test.ts`);
  return {
    test: {
      include: [kind === undefined ? "test/**/*.test.ts" : `test/**/*.${kind}.test.ts`],
      exclude: [...others, "node_modules/**"],
      pool: "forks",
      maxWorkers: 2,
      sequence: { sequencer: LongestFirst },
      testTimeout: TIMEOUTS_MS[kind ?? "quick"],
      bail: kind === "board" ? 1 : 0, // its tests are one story
      hookTimeout: 60_000,
    },
  };
});
