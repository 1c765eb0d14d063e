// `npm run simulate`: seeded runs of a whole network, with every fault, under the eyes of the oracle.

import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { breakRule } from "./broken.ts";
import type { RunOptions } from "./run.ts";

const HELP = `npm run simulate -- --seed S --nodes N --hours H [--faults F] [--swarm] [--without NAMES] [--trace STEP] [--plot FILE]
npm run simulate -- --runs R [--steps N] [--jobs J] --swarm …
npm run simulate -- --members M --seed S --hours H [--faults F] [--runs R]

  --seed     what decides everything; the same seed is the same run (default 1); "fresh": another, printed
  --nodes    key managers in a random network (default 5)
  --hours    simulated hours with faults; some minutes without follow (default 1)
  --faults   how often faults strike: 1 as usual, 0 never (default 1)
  --swarm    each run has about half of the faults, some of them rarely, some of them often
  --without  kinds of faults that do not strike, and ingredients that are not there, with commas
  --takeovers  mean minutes between two takeovers of each KM by another member of it (default: none)
  --members  the members of one KM on an etcd that fails, instead of a network
  --trace    print every step from this one on
  --plot     draws the network and its stock over time into this file (SVG)
  --break    a rule broken on purpose, which the oracle has to find (test/sim/broken.ts)

A campaign has many runs, with the seeds that follow. It makes what it finds small, and fails when something that must
happen sometimes never did (from 2,000,000 steps on).

  --runs     so many runs (default 1)
  --steps    none begins after so many steps in all
  --jobs     processes at a time (default 1)

Examples: npm run simulate -- --seed 7 --nodes 10 --hours 2
          npm run simulate -- --swarm --seed 1 --hours 0.5 --runs 1000000 --steps 1000000000 --jobs 8
`;

const LAST_STEPS = 60;
const SAMPLES = 800;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "5" },
    hours: { type: "string", default: "1" },
    faults: { type: "string", default: "1" },
    swarm: { type: "boolean", default: false },
    without: { type: "string", default: "" },
    takeovers: { type: "string" },
    members: { type: "string" },
    trace: { type: "string" },
    plot: { type: "string" },
    break: { type: "string" },
    runs: { type: "string", default: "1" },
    steps: { type: "string", default: "Infinity" },
    jobs: { type: "string", default: "1" },
    worker: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const OPTIONS: RunOptions = {
  seed: values.seed === "fresh" ? randomInt(1_000_000) : Number(values.seed),
  nodes: Number(values.nodes),
  hours: Number(values.hours),
  faults: Number(values.faults),
  isSwarm: values.swarm,
  ...(values.takeovers === undefined ? {} : { takeoversMs: Number(values.takeovers) * 60_000 }),
  without: values.without.split(",").filter((name) => name !== "") as NonNullable<RunOptions["without"]>,
};

// What runs is loaded only when it is needed, for a rule may be broken first.
async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(HELP);
  if (values.break !== undefined) breakRule(values.break);
  const runs = Number(values.runs);
  if (values.members !== undefined) await members(Number(values.members), runs);
  else if (values.worker) (await import("./campaign/workers.ts")).serveParent();
  else if (runs === 1) await once();
  else {
    const { campaign } = await import("./campaign/campaign.ts");
    const crew = { jobs: Number(values.jobs), args: values.break === undefined ? [] : ["--break", values.break] };
    if (!(await campaign({ first: OPTIONS, runs, steps: Number(values.steps), crew }, print))) process.exitCode = 1;
  }
}

/** Ends with the first run that breaks a rule. */
async function members(count: number, runs: number): Promise<void> {
  const { runMembers } = await import("./members/world.ts");
  const { seed, hours, faults, without = [] } = OPTIONS;
  for (let at = seed; at < seed + runs; at++) {
    const notes: string[] = [];
    const note = (atMs: number, what: string): void => void notes.push(`${(atMs / 1000).toFixed(3)} s  ${what}`);
    const outcome = await runMembers({ seed: at, members: count, hours, faults, without, note });
    const { violation, carved, takeovers, restores, steps, struck } = outcome;
    print(`seed        ${at}: ${steps} steps, ${carved} bytes, ${takeovers} times active, ${restores} restores`);
    print(`faults      ${[...struck].map(([name, times]) => `${name} ${times}`).join(", ")}`);
    print(`verdict     ${violation === undefined ? "every rule holds" : violation.message}`);
    if (violation === undefined) continue;
    print(notes.slice(-LAST_STEPS).join("\n"));
    const broken = values.break === undefined ? "" : ` --break '${values.break}'`;
    print(`\nagain: npm run simulate -- --members ${count} --seed ${at} --hours ${hours} --faults ${faults}${broken}`);
    process.exitCode = 1;
    return;
  }
}

async function once(): Promise<void> {
  const { run } = await import("./run.ts");
  const { plot } = await import("./plot.ts");
  const { summary } = await import("./summary.ts");
  const { commandOf } = await import("./campaign/result.ts");
  const outcome = await run({
    ...OPTIONS,
    ...(values.plot === undefined ? {} : { samples: SAMPLES }),
    trace: { ...(values.trace === undefined ? {} : { from: Number(values.trace) }), print },
  });
  print(summary(outcome));
  if (values.plot !== undefined) writeFileSync(values.plot, plot(outcome.world, outcome.world.samples));
  if (outcome.violation === undefined) return;
  print(`\n${outcome.violation.message}\n\nthe last steps:`);
  for (const line of outcome.world.trace.last(LAST_STEPS)) print(line);
  print(`\nagain: ${commandOf(OPTIONS)}${values.break === undefined ? "" : ` --break '${values.break}'`}`);
  process.exitCode = 1;
}

await main();
