// Intake from one pseudo-terminal to durable, against a bare copy through a pseudo-terminal.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bench } from "../bench.ts";
import { BenchNetwork } from "../network.ts";
import { Program } from "../program.ts";
import type { ReaderPlan } from "../reference/reader.ts";
import type { TerminalPlan } from "../reference/terminal.ts";
import { alternate } from "../result.ts";

const TERMINAL = fileURLToPath(new URL("../reference/terminal.ts", import.meta.url));
const READER = fileURLToPath(new URL("../reference/reader.ts", import.meta.url));
const WARM_MS = 1_000;
const MEASURE_MS = 2_500;
const MEGA = 1e6;
/** More than one line and one KM take. */
const MODULE_BITS_PER_S = 1_000 * MEGA;
/** As configured by default; the oldest blocks go. */
export const KEEP_BLOCKS = 512;

export async function measureIntake(bench: Bench): Promise<void> {
  if (!bench.wants("intake")) return;
  bench.say("intake: one KM, one module on a pseudo-terminal");
  await using network = await BenchNetwork.provision(join(bench.dir, "intake"), bench.nodeFlags);
  await network.a.start({ stock: 1, keepBlocks: KEEP_BLOCKS });
  const [ours, theirs] = await alternate(
    bench.rounds,
    () => intake(network),
    () => copy(network),
  );
  const measured = { of: "key, sealed and durable", values: ours };
  const reference = { of: "bare copy by serialport", values: theirs };
  const aims = [{ of: "ratio", atLeast: 0.5 } as const, { of: "value", atLeast: 100 } as const];
  bench.add({ name: "intake", unit: "Mbit/s", measured, reference, aims });
}

/** Megabits of key a second that become durable at km-a; km-b is not there. */
export async function intake(network: BenchNetwork): Promise<number> {
  await network.modulesOn(MODULE_BITS_PER_S);
  const before = await network.a.counted("bytes_received");
  while ((await network.a.counted("bytes_received")) === before) await pause(20);
  await pause(WARM_MS);
  const [first, began] = [await network.a.counted("bytes_received"), performance.now()];
  await pause(MEASURE_MS);
  const [last, ended] = [await network.a.counted("bytes_received"), performance.now()];
  await network.modulesOff();
  return ((last - first) * 8) / MEGA / ((ended - began) / 1_000);
}

async function copy(network: BenchNetwork): Promise<number> {
  const path = `${network.log("terminal")}.pty`;
  const writing: TerminalPlan = { path };
  const reading: ReaderPlan = { path, warmMs: WARM_MS, measureMs: MEASURE_MS };
  const log = network.log("copy");
  await using _writer = await Program.start({ args: [TERMINAL, JSON.stringify(writing)], log });
  await using reader = await Program.start({ args: [READER, JSON.stringify(reading)], log });
  const line = await reader.line(/^bits\/s /, 2 * (WARM_MS + MEASURE_MS));
  return Number(line.split(" ")[1]) / MEGA;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
