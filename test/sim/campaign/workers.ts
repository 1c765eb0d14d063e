// Worker processes: each runs one seed after the other, and ends with its parent.

import { fork } from "node:child_process";
import type { RunOptions } from "../run.ts";
import { type RunResult, resultOf } from "./result.ts";

/** What a worker says: what it found, or that a run broke off. */
type Word = { readonly result: RunResult } | { readonly broken: string };

/** Faults are thrown by the thousand, and their stacks cost; a finding is run again in the parent, where they are shown. */
const STACK_LINES = 0;
/** A run makes much garbage that lives shortly: a large young generation spares a tenth of the time. */
const WORKER_FLAGS = ["--max-semi-space-size=32"];

/** Runs what the parent sends, in this process. */
export function serveParent(): void {
  Error.stackTraceLimit = STACK_LINES;
  process.on("message", (options: RunOptions) => {
    resultOf(options).then(
      (result) => process.send?.({ result } satisfies Word),
      (thrown: unknown) => process.send?.({ broken: String(thrown) } satisfies Word),
    );
  });
  process.on("disconnect", () => process.exit());
}

type Next = () => RunOptions | undefined;

/** Processes that run at a time, and what each is told beside `--worker`. */
export interface Crew {
  readonly jobs: number;
  readonly args: readonly string[];
}

/**
 * Runs whatever `next` gives in worker processes, until it gives no more; tells of each result as it comes.
 * @throws Error when a worker ends or breaks off
 */
export async function inWorkers(crew: Crew, next: Next, tell: (result: RunResult) => void): Promise<void> {
  await Promise.all(Array.from({ length: crew.jobs }, () => work(crew, next, tell)));
}

async function work({ args }: Crew, next: Next, tell: (result: RunResult) => void): Promise<void> {
  const worker = fork(process.argv[1] ?? "", ["--worker", ...args], {
    execArgv: [...process.execArgv, ...WORKER_FLAGS],
  });
  const ended = new Promise<never>((_, reject) => {
    worker.once("exit", (code) => reject(new Error(`a worker ended with code ${code}`)));
  });
  ended.catch(() => {});
  try {
    for (let options = next(); options !== undefined; options = next()) {
      const answer = new Promise<Word>((resolve) => void worker.once("message", (word) => resolve(word as Word)));
      worker.send(options);
      const word = await Promise.race([answer, ended]);
      if ("broken" in word) throw new Error(`the run of seed ${options.seed} broke off: ${word.broken}`);
      tell(word.result);
    }
  } finally {
    worker.disconnect();
  }
}
