// Many seeds in several processes: what they found, how little shows it, and what none of them reached.

import type { RunOptions } from "../run.ts";
import { commandOf, type RunResult } from "./result.ts";
import { shrink } from "./shrink.ts";
import { SOMETIMES } from "./sometimes.ts";
import { type Crew, inWorkers } from "./workers.ts";

export interface CampaignOptions {
  /** Seed, nodes, hours and faults of the first run; the others have the seeds that follow. */
  readonly first: RunOptions;
  /** At most so many runs, and none more once so many steps were made. */
  readonly runs: number;
  readonly steps: number;
  readonly crew: Crew;
}

/** Fewer steps need not reach everything. */
const REACHES_ALL = 2_000_000;
/** So many findings are made small; the others are named. */
const SHRUNK = 3;
const PROGRESS_MS = 60_000;

/** @returns whether nothing was found, and all was reached */
export async function campaign(options: CampaignOptions, print: (line: string) => void): Promise<boolean> {
  const tally = new Tally(options, print);
  await inWorkers(
    options.crew,
    () => tally.next(),
    (result) => tally.add(result),
  );
  tally.sumUp();
  for (const found of tally.found.slice(0, SHRUNK)) {
    const least = await shrink(found);
    if (least === undefined) continue;
    for (const line of least.violation?.lastSteps ?? []) print(line);
    print(`\n${least.violation?.message}\nthe same with fewer faults: ${commandOf(least.options)}`);
  }
  return tally.found.length === 0 && tally.missed.length === 0;
}

class Tally {
  readonly found: RunResult[] = [];
  readonly #options: CampaignOptions;
  readonly #print: (line: string) => void;
  readonly #reached = new Map<string, number>();
  readonly #beganMs = performance.now();
  #begun = 0;
  #ended = 0;
  #steps = 0;
  #simulatedMs = 0;
  #processorMs = 0;
  #printedMs = this.#beganMs;

  constructor(options: CampaignOptions, print: (line: string) => void) {
    this.#options = options;
    this.#print = print;
  }

  next(): RunOptions | undefined {
    const { first, runs, steps } = this.#options;
    if (this.#begun >= runs || this.#steps >= steps) return undefined;
    return { ...first, seed: first.seed + this.#begun++ };
  }

  add(result: RunResult): void {
    this.#ended++;
    this.#steps += result.steps;
    this.#simulatedMs += result.simulatedMs;
    this.#processorMs += result.processorMs;
    for (const [name, count] of Object.entries(result.reached)) {
      this.#reached.set(name, (this.#reached.get(name) ?? 0) + count);
    }
    if (result.violation !== undefined) {
      this.found.push(result);
      this.#print(`${result.violation.message}\n  again: ${commandOf(result.options)}`);
    }
    if (performance.now() - this.#printedMs < PROGRESS_MS) return;
    this.#printedMs = performance.now();
    this.#print(this.#line);
  }

  /** What must happen sometimes, and did not. */
  get missed(): readonly string[] {
    return this.#steps < REACHES_ALL ? [] : SOMETIMES.filter((name) => !this.#reached.has(name));
  }

  sumUp(): void {
    this.#print(this.#line);
    const never = SOMETIMES.filter((name) => !this.#reached.has(name));
    this.#print(`never reached: ${never.join(" · ") || "nothing that should be"}`);
  }

  get #line(): string {
    const { seed } = this.#options.first;
    const hours = Math.round(this.#simulatedMs / 3_600_000);
    return [
      `seeds ${seed} to ${seed + this.#begun - 1}`,
      `${this.#ended} runs`,
      `${hours} h simulated`,
      `${this.#steps} steps`,
      `${Math.round(this.#steps / (this.#processorMs / 1000))} steps per second of processor time`,
      `${this.found.length} findings`,
    ].join(" · ");
  }
}
