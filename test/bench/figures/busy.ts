// Supply beside everything else: half of what a KM can supply is asked while a link delivers at full rate and relays run.

import { constants, setPriority } from "node:os";
import type { Bench } from "../bench.ts";
import { duel } from "../duel.ts";
import type { FilledNetwork } from "../filled.ts";
import { askOnce } from "../load.ts";
import { paced } from "../paced.ts";
import { keyRequest, SeenKeys } from "../requests.ts";
import { median } from "../result.ts";

const CONNECTIONS = 32;
/** More than a line takes. */
const MODULE_BITS_PER_S = 1_000_000_000;
/** The KM tells its loop delay of windows of 10 s: the last whole one lies within. */
const SECONDS = 21;
const MS_PER_S = 1_000;

export async function measureBusy(bench: Bench, filled: FilledNetwork): Promise<void> {
  if (!["busy-answered", "busy-loop-delay", "busy-loop-delay-first"].some((name) => bench.wants(name))) return;
  bench.say("Ak: half of what it can supply, while a link delivers and relays run");
  await filled.full();
  const { network } = filled;
  const km = network.a;
  const target = { port: km.plan.ports.ak, tls: network.client("a") };
  const seen = new SeenKeys();
  const wish = () => keyRequest(1, seen);
  const pattern = { connections: CONNECTIONS, depth: 1, heatMs: 2_000, measureMs: 1_500 };
  const { ours } = await duel({
    rounds: 1,
    pattern,
    target,
    km: km.program,
    wish,
    rival: undefined,
    prepare: () => filled.full(),
  });
  const perSecond = median(ours.map((outcome) => outcome.perSecond)) / 2;
  await filled.restart("always");
  const asked = wish();
  const answer = await askOnce(target, asked.request, asked.isWhole);
  await network.modulesOn(MODULE_BITS_PER_S);
  const before = await worked(filled);
  const load = { target, connections: CONNECTIONS, perSecond, seconds: SECONDS, wish: asked };
  const { offered, answered, refused } = await paced({ ...load, answerBytes: answer.length });
  const delayMs = async () => (await km.gauge("loop_delay_seconds", 'quantile="0.99"')) * MS_PER_S;
  const delay = { of: "p99 of the event loop meanwhile", values: [await delayMs()] };
  bench.add({ name: "busy-loop-delay", unit: "ms", measured: delay });
  if (bench.wants("busy-loop-delay-first") && goesFirst(km.program.pid)) {
    await paced({ ...load, answerBytes: answer.length });
    const first = { of: "the same while the KM's main thread goes before all others", values: [await delayMs()] };
    bench.add({ name: "busy-loop-delay-first", unit: "ms", measured: first, aims: [{ of: "value", atMost: 10 }] });
  }
  const after = await worked(filled);
  await network.modulesOff();
  await filled.restart("when low");
  for (const what of ["bytes_received", "kma_keys_ready"] as const) {
    if (after[what] <= before[what]) throw new Error(`nothing else ran beside the supply: ${what} has not grown`);
  }
  bench.say(`of ${offered} requests ${answered} were answered with keys and ${refused} refused`);
  const measured = {
    of: `keys for ${offered} requests, ${perSecond.toFixed(0)} a second`,
    values: [answered / offered],
  };
  bench.add({ name: "busy-answered", unit: "of 1", measured, aims: [{ of: "value", atLeast: 0.98 }] });
}

/** The system lets the main thread of a process run before others: false when we may not ask for that. */
function goesFirst(pid: number): boolean {
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGHEST);
    return true;
  } catch {
    return false;
  }
}

async function worked({ network: { a } }: FilledNetwork) {
  const [received, ready] = await Promise.all([a.counted("bytes_received"), a.counted("kma_keys_ready")]);
  return { bytes_received: received, kma_keys_ready: ready };
}
