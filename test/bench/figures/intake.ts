// Intake from one pseudo-terminal to durable, against a bare copy through a pseudo-terminal.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Bench } from "../bench.ts";
import { BenchNetwork } from "../network.ts";
import { Program } from "../program.ts";
import type { ReaderPlan } from "../reference/reader.ts";
import type { TerminalPlan } from "../reference/terminal.ts";
import { alternate, median } from "../result.ts";

const TERMINAL = fileURLToPath(new URL("../reference/terminal.ts", import.meta.url));
const READER = fileURLToPath(new URL("../reference/reader.ts", import.meta.url));
const WARM_MS = 1_000;
const MEASURE_MS = 2_500;
const MEGA = 1e6;
/** More than one line and one KM take. */
const MODULE_BITS_PER_S = 1_000 * MEGA;
/** As configured by default; the oldest blocks go. */
export const KEEP_BLOCKS = 512;

/** What a quiet link brings: the KM does nothing else. */
const QUIET = { bitsPerS: 2 * MEGA, settleMs: 2_000, measureMs: 8_000 } as const;
/** Some hundred blocks before: as many as a quiet link brings in a minute or two, after which V8 has compiled what there is to. */
const WARM_UP = { bitsPerS: 40 * MEGA, ms: 6_000 } as const;

export async function measureIntake(bench: Bench): Promise<void> {
  if (bench.wants("intake")) await fullIntake(bench);
  if (bench.wants("intake-quiet-cpu")) await quietIntake(bench);
}

/** Processor time of a KM that takes in a little and does nothing else. */
async function quietIntake(bench: Bench): Promise<void> {
  bench.say(`intake: one KM that takes in ${QUIET.bitsPerS / MEGA} Mbit/s and does nothing else`);
  await using network = await BenchNetwork.provision(join(bench.dir, "quiet"), bench.nodeFlags);
  await network.a.start({ stock: 1, keepBlocks: KEEP_BLOCKS });
  await network.modulesOn(WARM_UP.bitsPerS);
  await pause(WARM_UP.ms);
  await network.modulesOff();
  await network.modulesOn(QUIET.bitsPerS);
  await pause(QUIET.settleMs);
  const values: number[] = [];
  for (let round = 0; round < bench.rounds; round++) {
    const [before, began] = [network.a.program.cpuSeconds(), performance.now()];
    await pause(QUIET.measureMs);
    const seconds = (performance.now() - began) / 1_000;
    values.push((100 * (network.a.program.cpuSeconds() - before)) / seconds);
  }
  const measured = { of: "the KM and its token's process", values };
  bench.add({ name: "intake-quiet-cpu", unit: "% of a core", measured, aims: [{ of: "value", atMost: 4 }] });
}

async function fullIntake(bench: Bench): Promise<void> {
  bench.say("intake: one KM, one module on a pseudo-terminal");
  await using network = await BenchNetwork.provision(join(bench.dir, "intake"), bench.nodeFlags);
  await network.a.start({ stock: 1, keepBlocks: KEEP_BLOCKS });
  const shares: Shares[] = [];
  const [ours, theirs] = await alternate(
    bench.rounds,
    () => intake(network, (share) => shares.push(share)),
    () => copy(network),
  );
  const measured = { of: "key, sealed and durable", values: ours };
  const bound = boundOfIntake(shares);
  const reference = { of: "bare copy by serialport", values: theirs };
  const aims = [{ of: "ratio", atLeast: 0.5 } as const, { of: "value", atLeast: 150 } as const];
  bench.add({ name: "intake", unit: "Mbit/s", measured, reference, bound, aims });
}

/** Parts of a core that the KM and the simulated modules use. */
interface Shares {
  readonly km: number;
  readonly simulator: number;
}

const cpuOf = ({ a, moduleSeconds }: BenchNetwork): Shares => ({
  km: a.program.cpuSeconds(),
  simulator: moduleSeconds,
});

/** From here on of a core an end is what bounds the figure; below, the line between them is. */
const BUSY = 0.85;

function boundOfIntake(shares: readonly Shares[]): string {
  const [km, simulator] = [median(shares.map((share) => share.km)), median(shares.map((share) => share.simulator))];
  const bound = km >= BUSY && km >= simulator ? "server" : simulator >= BUSY ? "simulator" : "device";
  return `${bound} (${(100 * km).toFixed(0)} %, simulator ${(100 * simulator).toFixed(0)} %)`;
}

/** Megabits of key a second that become durable at km-a; km-b is not there. */
export async function intake(network: BenchNetwork, told: (shares: Shares) => void = () => {}): Promise<number> {
  await network.modulesOn(MODULE_BITS_PER_S);
  const before = await network.a.counted("bytes_received");
  while ((await network.a.counted("bytes_received")) === before) await pause(20);
  await pause(WARM_MS);
  const cpu = cpuOf(network);
  const [first, began] = [await network.a.counted("bytes_received"), performance.now()];
  await pause(MEASURE_MS);
  const [last, ended] = [await network.a.counted("bytes_received"), performance.now()];
  const after = cpuOf(network);
  const seconds = (ended - began) / 1_000;
  told({ km: (after.km - cpu.km) / seconds, simulator: (after.simulator - cpu.simulator) / seconds });
  await network.modulesOff();
  return ((last - first) * 8) / MEGA / seconds;
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
