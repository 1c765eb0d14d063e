// Runs before each test file: what is drawn is the same each time, and what the file costs is told to the report.

import { readFileSync } from "node:fs";
import { configureGlobal } from "fast-check";
import { afterAll, type RunnerTestFile, type RunnerTestSuite } from "vitest";
import { SEED } from "../seed.ts";

declare module "vitest" {
  interface TaskMeta {
    /** Seconds of processor time, with the processes that the file started and waited for. */
    cpuS?: number;
  }
}

const TICKS_PER_S = 100;

/** Of this process and of its children that have ended, by proc_pid_stat(5), fields 14 to 17. */
function cpuS(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_S;
}

configureGlobal({ seed: SEED });
const before = cpuS();
const noteCost = (_fixtures: unknown, { meta }: Readonly<RunnerTestSuite | RunnerTestFile>): void => {
  meta.cpuS = cpuS() - before;
};
// The first of such hooks is the last to run: networks that the file started have ended then. Bound, since Vitest reads the
// parameters of what it calls to know which fixtures to make.
afterAll(noteCost.bind(undefined));
