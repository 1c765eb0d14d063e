// One run as a campaign counts it, and what a run is told.

import { type RunOptions, run as runOnce } from "../run.ts";

const LAST_STEPS = 40;

/** What a worker process answers for one seed. */
export interface RunResult {
  readonly options: RunOptions;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly processorMs: number;
  readonly violation:
    | { readonly rule: string; readonly message: string; readonly lastSteps: readonly string[] }
    | undefined;
  /** What was reached, and how often: counters of the nodes, `refused CODE`, `fault NAME`, `with INGREDIENT`. */
  readonly reached: Readonly<Record<string, number>>;
}

export async function resultOf(options: RunOptions): Promise<RunResult> {
  const { world, violation, simulatedMs, processorMs } = await runOnce(options);
  const { oracle, refusals, struck, ingredients, trace } = world;
  const reached = Object.fromEntries([
    ...oracle.counters,
    ...[...refusals].map(([code, count]) => [`refused ${code}`, count] as const),
    ...[...struck].map(([name, count]) => [`fault ${name}`, count] as const),
    ...[...ingredients].map((name) => [`with ${name}`, 1] as const),
  ]);
  const found = violation && { rule: violation.rule, message: violation.message, lastSteps: trace.last(LAST_STEPS) };
  return { options, steps: trace.steps, simulatedMs, processorMs, violation: found, reached };
}

/** The command that runs it again. */
export function commandOf(run: RunOptions): string {
  const { seed, nodes, hours, faults, isSwarm = false, takeoversMs, without = [] } = run;
  const more = [
    ...(isSwarm ? ["--swarm"] : []),
    ...(takeoversMs === undefined ? [] : [`--takeovers ${takeoversMs / 60_000}`]),
    ...(without.length > 0 ? [`--without ${without.join()}`] : []),
  ];
  const options = [`--seed ${seed}`, `--nodes ${nodes}`, `--hours ${hours}`, `--faults ${faults}`, ...more];
  return `npm run simulate -- ${options.join(" ")}`;
}
