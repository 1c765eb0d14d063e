// `npm run bench`: measures this project against bare references on the same machine, in the same run.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { Bench } from "./bench.ts";
import { chart } from "./chart.ts";
import { measureAk } from "./figures/ak.ts";
import { measureBusy } from "./figures/busy.ts";
import { measureEtsi014 } from "./figures/etsi014.ts";
import { measureIntake } from "./figures/intake.ts";
import { MEMBERS, measureMembers } from "./figures/members.ts";
import { measureRelay, measureTransit } from "./figures/relay.ts";
import { measureEmpty, measureFlat, measureIdle, measureMemory, measureStart } from "./figures/stock.ts";
import { FilledNetwork } from "./filled.ts";
import { endPrograms } from "./program.ts";
import { lineOf, type Result } from "./result.ts";
import { table } from "./table.ts";

interface Flags {
  readonly json?: string;
  readonly chart?: string;
  readonly only: readonly string[];
  readonly long: boolean;
  readonly rounds: number;
  readonly nodeFlags: string;
  readonly profile?: string;
}

/** Figures with the processor time of a key beside each. */
const withCpu = (...names: string[]): string[] => names.flatMap((name) => [name, `${name}-cpu`]);
/** Those that no filled network is needed for. */
const ALONE = ["intake", "intake-quiet-cpu", "relay-transit", ...MEMBERS];
/** Takes long: only when it is asked for. */
const LONG = ["memory-flat", ...MEMBERS];
const FIGURES = [
  ...withCpu("ak-supply", "ak-alternating", "ak-pipelined", "ak-batch", "ak-batch-128", "ak-fetch"),
  ...["ak-latency-p50", "ak-latency-p99", ...withCpu("etsi014-enc-keys", "etsi014-new-tls")],
  ...ALONE.filter((name) => !LONG.includes(name)),
  ...["relay", "start", "busy-answered", "busy-loop-delay", "busy-loop-delay-first"],
  ...["memory-empty", "memory", "memory-mapped", "memory-idle", "memory-idle-mapped"],
  ...["memory-after-load", "memory-after-load-mapped", ...LONG],
];

async function measure(bench: Bench): Promise<void> {
  await measureIntake(bench);
  await measureTransit(bench);
  await measureMembers(bench);
  if (!FIGURES.some((name) => !ALONE.includes(name) && bench.wants(name))) return;
  await using filled = await FilledNetwork.fill(bench);
  measureRelay(bench, filled);
  measureEmpty(bench, filled);
  await measureMemory(bench, filled, "memory");
  await measureIdle(bench, filled);
  await measureStart(bench, filled);
  await measureAk(bench, filled);
  await measureEtsi014(bench, filled);
  await measureBusy(bench, filled);
  await measureMemory(bench, filled, "memory-after-load");
  await measureFlat(bench, filled);
}

function benchOf({ only, rounds, nodeFlags, profile, long }: Flags, dir: string, results: Result[]): Bench {
  const began = performance.now();
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  return {
    dir,
    rounds,
    nodeFlags: [
      ...nodeFlags.split(" ").filter((flag) => flag !== ""),
      ...(profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${resolve(profile)}`]),
    ],
    wants: (name) => only.includes(name) || (only.length === 0 && (long || !LONG.includes(name))),
    say: (line) => process.stderr.write(`${((performance.now() - began) / 1_000).toFixed(0).padStart(4)} s  ${line}\n`),
    add: (result) => results.push(result),
  };
}

async function run(flags: Flags): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "qkm-bench-"));
  const results: Result[] = [];
  const giveUp = () => void endPrograms().finally(() => remove(dir, 130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, giveUp);
  try {
    await measure(benchOf(flags, dir, results));
  } finally {
    rmSync(dir, { recursive: true, force: true });
    show(
      flags,
      results.filter(({ name }) => flags.only.length === 0 || flags.only.includes(name)),
    );
  }
}

function remove(dir: string, exitCode: number): never {
  rmSync(dir, { recursive: true, force: true });
  process.exit(exitCode);
}

function show({ json, chart: picture }: Flags, results: readonly Result[]): void {
  const machine = `${availableParallelism()} cores, Node ${process.version}`;
  process.stdout.write(`${table(results)}\n${machine}\n`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(results.map(lineOf), undefined, 2)}\n`);
  if (picture !== undefined)
    writeFileSync(picture, chart(results, `${machine}, ${cpus()[0]?.model ?? "unknown processor"}`));
}

function figure(name: string, before: readonly string[]): readonly string[] {
  if (!FIGURES.includes(name)) throw new InvalidArgumentError(`There is ${FIGURES.join(", ")}.`);
  return [...before, name];
}

function count(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

await new Command("npm run bench --")
  .description("Measures supply, intake, relay, memory and start, each against a bare reference. About ten minutes.")
  .option("--json <file>", "write medians and ratios there, too")
  .option("--chart <file>", "draw them there, too: SVG")
  .option("--only <figure>", "measure this figure only; may be given several times", figure, [])
  .option("--long", `measure ${LONG.join(", ")} too: some minutes more`, false)
  .option("--rounds <n>", "how often each side is measured", count, 5)
  .option("--node-flags <flags>", "further flags of Node for the KMs, with spaces between", "")
  .option("--profile <dir>", "write CPU profiles of the KMs there; the figures are then lower")
  .addHelpText(
    "after",
    `\nFigures: ${FIGURES.join(", ")}.\nExample:\n  npm run bench -- --only ak-supply --json ak.json`,
  )
  .action(run)
  .parseAsync();
