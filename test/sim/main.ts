// `npm run simulate`: one seeded run of a whole network, with every fault, under the eyes of the oracle.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { breakRule } from "./broken.ts";

const HELP = `npm run simulate -- --seed S --nodes N --hours H [--faults F] [--trace STEP] [--runs R] [--plot FILE]

  --seed    what decides everything; the same seed is the same run (default: of the day's time)
  --nodes   key managers in a random network (default 5)
  --hours   simulated hours with faults; some minutes without follow (default 1)
  --faults  how often faults strike: 1 as usual, 0 never (default 1)
  --takeovers  mean minutes between two takeovers of each KM by another member of it (default: none)
  --trace   print every step from this one on
  --plot    draws the network and its stock over time into this file (SVG)
  --break   a rule broken on purpose, which the oracle has to find (test/sim/broken.ts)
  --runs    so many runs with the seeds that follow

Example: npm run simulate -- --seed 7 --nodes 10 --hours 2
`;

const LAST_STEPS = 60;
const SAMPLES = 800;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    nodes: { type: "string", default: "5" },
    hours: { type: "string", default: "1" },
    faults: { type: "string", default: "1" },
    takeovers: { type: "string" },
    trace: { type: "string" },
    plot: { type: "string" },
    break: { type: "string" },
    runs: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(HELP);
  if (values.break !== undefined) breakRule(values.break);
  const first = Number(values.seed ?? Date.now() % 1_000_000);
  for (let index = 0; index < Number(values.runs); index++) await once(first + index);
}

async function once(seed: number): Promise<void> {
  // Loaded only now, for a rule may be broken first.
  const { run } = await import("./run.ts");
  const { plot } = await import("./plot.ts");
  const { summary } = await import("./summary.ts");
  const { nodes, hours, faults, trace } = values;
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const outcome = await run({
    seed,
    nodes: Number(nodes),
    hours: Number(hours),
    faults: Number(faults),
    ...(values.takeovers === undefined ? {} : { takeoversMs: Number(values.takeovers) * 60_000 }),
    ...(values.plot === undefined ? {} : { samples: SAMPLES }),
    trace: { ...(trace === undefined ? {} : { from: Number(trace) }), print },
  });
  print(summary(outcome));
  if (values.plot !== undefined) writeFileSync(values.plot, plot(outcome.world, outcome.world.samples));
  if (outcome.violation === undefined) return;
  print(`\n${outcome.violation.message}\n\nthe last steps:`);
  for (const line of outcome.world.trace.last(LAST_STEPS)) print(line);
  const takeovers = values.takeovers === undefined ? "" : ` --takeovers ${values.takeovers}`;
  const broken = values.break === undefined ? "" : ` --break '${values.break}'`;
  print(
    `\nagain: npm run simulate -- --seed ${seed} --nodes ${nodes} --hours ${hours} --faults ${faults}${takeovers}${broken}`,
  );
  process.exitCode = 1;
}

await main();
