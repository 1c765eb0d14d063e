// `npm run profile -- LOAD`: a KM under load, the functions that cost most, and a flame graph.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Argument, Command } from "commander";
import type { Bench } from "./bench.ts";
import { type CpuProfile, callsOf, hotTable } from "./profile/calls.ts";
import { flameGraph } from "./profile/flame.ts";
import { LOADS } from "./profile/loads.ts";
import { endPrograms } from "./program.ts";

type LoadName = keyof typeof LOADS;

const NAMES = Object.keys(LOADS) as LoadName[];
const ROOT = pathToFileURL(resolve(import.meta.dirname, "../..")).href;

interface Flags {
  readonly out: string;
  readonly rows: string;
}

async function run(name: LoadName, { out, rows }: Flags): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "qkm-profile-"));
  const profiles = join(dir, "profiles");
  const remove = () => rmSync(dir, { recursive: true, force: true });
  const giveUp = () =>
    void endPrograms().finally(() => {
      remove();
      process.exit(130);
    });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, giveUp);
  try {
    const window = await LOADS[name](benchIn(dir), ["--cpu-prof", `--cpu-prof-dir=${profiles}`]);
    const text = profileIn(profiles);
    const calls = callsOf(JSON.parse(text) as CpuProfile, window, `${ROOT}/`);
    mkdirSync(out, { recursive: true });
    const files = { graph: `${resolve(out, name)}.svg`, profile: `${resolve(out, name)}.cpuprofile` };
    writeFileSync(files.graph, flameGraph(calls, name));
    writeFileSync(files.profile, text);
    const share = (100 * calls.totalMicros) / (window.to - window.from);
    process.stdout.write(`${hotTable(calls, Number(rows))}\n${share.toFixed(0)} % of the time it was busy\n`);
    process.stdout.write(`flame graph: ${files.graph}\nfor Chrome's DevTools: ${files.profile}\n`);
  } finally {
    remove();
  }
}

function profileIn(dir: string): string {
  const [file] = readdirSync(dir);
  if (file === undefined) throw new Error("the KM has left no profile: it did not end by itself");
  return readFileSync(join(dir, file), "utf8");
}

const benchIn = (dir: string): Bench => ({
  dir,
  rounds: 1,
  nodeFlags: [],
  wants: () => true,
  say: (line) => process.stderr.write(`${line}\n`),
  add: () => {},
});

await new Command("npm run profile --")
  .description(
    "Runs a KM under a load with the profiler of Node, tells which functions cost most, and draws a flame graph.",
  )
  .addArgument(new Argument("<load>", "what it has to do").choices(NAMES))
  .option("--out <dir>", "where the flame graph and the profile go", ".")
  .option("--rows <n>", "how many functions are told", "30")
  .addHelpText("after", "\nExample:\n  npm run profile -- supply --out /tmp")
  .action(run)
  .parseAsync();
