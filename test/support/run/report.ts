// What a run's files cost: the dearest are listed, and one beyond its budget fails the run.

import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";
import { isTooBusy } from "../busy.ts";

const LISTED = 10;
/** More than three files at a time want: tests take long there, and networks of processes go on meanwhile. */
const BUSY = 2;

/** Seconds of processor time, which other work on the machine changes little, by the beginnings of paths. */
export type Budgets = Readonly<Record<string, number>>;

export class RunReport implements Reporter {
  readonly #budgets: Budgets;

  constructor(budgets: Budgets) {
    this.#budgets = budgets;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const costs = modules.map((module) => costOf(module)).sort((one, other) => other.cpuS - one.cpuS);
    const say = (text: string): void => void process.stdout.write(`${text}\n`);
    say("\n processor      clock  dearest files");
    for (const { file, cpuS, clockS } of costs.slice(0, LISTED)) say(`${seconds(cpuS)} ${seconds(clockS)}  ${file}`);
    const total = costs.reduce((sum, { cpuS }) => sum + cpuS, 0);
    say(`${seconds(total)}             all ${costs.length} files`);
    const isBusy = isTooBusy(BUSY);
    for (const { file, cpuS } of costs) {
      const most = this.#budgetOf(file);
      if (cpuS <= most) continue;
      const verdict = isBusy ? "on a busy machine" : "FAIL";
      say(`${verdict} ${file}: ${cpuS.toFixed(1)} s of processor time; its budget is ${most} s (vitest.config.ts)`);
      if (!isBusy) process.exitCode = 1;
    }
  }

  #budgetOf(file: string): number {
    const fitting = Object.keys(this.#budgets).filter((beginning) => file.startsWith(beginning));
    const longest = fitting.sort((one, other) => other.length - one.length)[0] ?? "";
    return this.#budgets[longest] ?? Number.POSITIVE_INFINITY;
  }
}

function costOf(module: TestModule): { readonly file: string; readonly cpuS: number; readonly clockS: number } {
  return {
    file: relative(module.project.vitest.config.root, module.moduleId),
    cpuS: module.meta().cpuS ?? 0,
    clockS: module.diagnostic().duration / 1_000,
  };
}

const seconds = (value: number): string => `${value.toFixed(1).padStart(8)} s`;
