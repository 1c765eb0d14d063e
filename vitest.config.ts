import { randomInt } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { RunReport } from "./test/support/run/report.ts";

/**
 * Tests that `npm test` leaves out, and how long one may take. Those called `*.long.test.ts` are run by
 * `vitest run --mode long`, and so on. A new kind needs a row here, a script in package.json and a stage in .ci/run.
 */
const KINDS: Readonly<Record<string, { readonly timeoutMs: number }>> = {
  long: { timeoutMs: 1_200_000 },
  memory: { timeoutMs: 600_000 },
  board: { timeoutMs: 1_800_000 },
  arm64: { timeoutMs: 3_600_000 },
  secure: { timeoutMs: 1_800_000 },
  attack: { timeoutMs: 600_000 },
  tokens: { timeoutMs: 600_000 },
  cluster: { timeoutMs: 600_000 },
};
const QUICK = { timeoutMs: 240_000 };

/**
 * What a file of `npm test` may cost, in seconds of processor time, by the longest beginning of its path: twice what it takes
 * where much else runs, for networks of processes go on with their work while a test waits.
 */
const BUDGETS_S = {
  "test/": 12,
  "test/cli/": 25,
  "test/sim/": 25,
  "test/system/": 30,
  "test/system/doors.test.ts": 40,
  "test/system/relay.test.ts": 40,
} as const;

/**
 * Folders whose tests share a process with others, which halves their cost: they start no process, open no token, map no
 * locked memory, and put back what they change.
 */
const SHARING =
  "core wire kq kx ak etsi014 etsi004 etsi020 skip http fuzz keys net control console config board view node bench support cli/controller drivers/serial drivers/hid drivers/etsi014 drivers/etsi004 drivers/indicators".split(
    " ",
  );

/**
 * Folders whose tests start processes, or write stores, and have nothing of their own that lasts: they share a process, too,
 * which saves 0.4 s of processor time a file. Those that load a PKCS#11 module or lock memory are alone.
 */
const STARTING = "system cli cluster boards vault drivers/simulator drivers/systemd drivers/watchdog".split(" ");
const LOADING =
  /^test\/(system\/(faults|field)|cli\/commands|cli\/appliance\/(provision|token|killed)|vault\/(memory\/|softhsm|job))/;

// What Node compiled is kept for the next process: most of a test's time is the start of processes.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/compile");

/** By parts of paths, the longest first. The simulator's long runs take one processor for many minutes. */
const LONGEST = [
  ...["/test/sim/run.long", "/test/system/faults", "/test/sim/run.test", "/test/cli/commands", "/test/system/restore"],
  ...["/test/system/", "/test/cli/"],
];

/**
 * Files that start processes take longest and mostly wait: they begin, so that none is left alone at the end. Those that
 * share a process stand together: it ends when one of the others is next.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId, project }: TestSpecification): number => {
      if (project.name === "sharing") return LONGEST.length + 2;
      return LONGEST.findIndex((part) => moduleId.includes(part)) + 1 || LONGEST.length + 1;
    };
    return files.toSorted((a, b) => rank(a) - rank(b) || a.moduleId.localeCompare(b.moduleId));
  }
}

/**
 * Files at a time. In quick and long tests many wait for processes, which leaves two processors idle with two files. Attacks
 * measure, each cluster takes the ports that were free before the other listened, and images share a cache.
 */
const WORKERS: Readonly<Record<string, number>> = { test: 3, long: 3, attack: 1, cluster: 1, arm64: 1 };

/** Test files that look for a counterexample: the long tests run them, too, with values that were never tried. */
const PROPERTIES = globSync("test/**/*.test.ts", { cwd: import.meta.dirname }).filter((file) =>
  /\bfc\.assert\(/.test(readFileSync(join(import.meta.dirname, file), "utf8")),
);

/** `import … from "qkm"` means the sources here; what `npm run build` makes is tested as it is installed. */
const OWN_NAME = { ssr: { resolve: { conditions: ["qkm-source", "node", "import", "module", "default"] } } };

export default defineConfig(({ mode }) => {
  const kind = KINDS[mode];
  // The same seed each time, so that `npm test` never fails by chance; the long tests look for what chance may find.
  process.env.QKM_SEED ??= kind === undefined ? "1" : String(randomInt(2 ** 31));
  const exclude = ["node_modules/**", ...Object.keys(KINDS).map((name) => `test/**/*.${name}.test.ts`)];
  const inside = (folders: readonly string[]) => folders.map((folder) => `test/${folder}/**/*.test.ts`);
  const shared = inside(SHARING);
  const starting = globSync(inside(STARTING), { cwd: import.meta.dirname }).filter((file) => !LOADING.test(file));
  const quick = [
    { name: "sharing", include: shared, exclude, isolate: false },
    { name: "starting", include: starting, exclude: [...exclude, ...shared], isolate: false },
    { name: "alone", include: ["test/**/*.test.ts"], exclude: [...exclude, ...shared, ...starting] },
  ];
  const seeded = `seed ${process.env.QKM_SEED}`;
  const special = [
    { name: seeded, include: [`test/**/*.${mode}.test.ts`] },
    ...(mode === "long" ? [{ name: `properties, ${seeded}`, include: PROPERTIES, exclude, isolate: false }] : []),
  ];
  const common = {
    pool: "forks",
    setupFiles: ["test/support/run/each-file.ts"],
    testTimeout: (kind ?? QUICK).timeoutMs,
    hookTimeout: 300_000,
    // Their tests are one story: what comes after a failure would wait for what never happens. Vitest asks each project.
    bail: ["board", "arm64", "secure"].includes(mode) ? 1 : 0,
  } as const;
  return {
    test: {
      projects: (kind === undefined ? quick : special).map((project) => ({
        ...OWN_NAME,
        test: { ...common, ...project },
      })),
      globalSetup: ["test/support/run/leftovers.ts"],
      // By Node itself, which runs the sources as they are: nothing is transformed, and what Node compiled is kept.
      experimental: { viteModuleRunner: false, nodeLoader: false },
      reporters: ["default", ...(kind === undefined ? [new RunReport(BUDGETS_S)] : [])],
      maxWorkers: WORKERS[mode] ?? 2,
      sequence: { sequencer: LongestFirst },
    },
  };
});
