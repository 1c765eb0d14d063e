// Who runs a network folder: one `qkm up` at a time, and what an earlier one left running when it was killed.

import { readFileSync, rmSync } from "node:fs";
import { CommandError, EXIT } from "../common/exit.ts";
import { writeAtomically } from "../common/network.ts";

/** A process, told from a later one with the same number by the time it started. */
interface ProcessMark {
  readonly pid: number;
  readonly started: string;
}

interface OwnerFile {
  readonly owner: ProcessMark;
  readonly children: readonly ProcessMark[];
}

/** How long processes of a killed `up` have to end by themselves. */
const LINGER_MS = 10_000;
const POLL_MS = 50;

/** Start time of a process in clock ticks since boot (proc(5), stat, field 22); undefined when it does not run. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? undefined : fields[18];
  } catch {
    return undefined;
  }
}

const markOf = (pid: number): ProcessMark => ({ pid, started: startOf(pid) ?? "" });
const runs = ({ pid, started }: ProcessMark): boolean => started !== "" && startOf(pid) === started;

/** Held by the one command that runs the network of a folder; ends with it. */
export interface Ownership extends Disposable {
  /** Notes the processes that run now, for whoever comes after a crash. */
  children(pids: readonly number[]): void;
}

/**
 * Takes the folder. Processes left by a killed owner end by themselves, since their pipe is gone; those that do not are killed.
 * @throws CommandError when another `up` runs there
 */
export async function takeOwnership(file: string): Promise<Ownership> {
  const before = read(file);
  if (before !== undefined && before.owner.pid !== process.pid && runs(before.owner)) {
    throw new CommandError(
      EXIT.unavailable,
      `a network runs here already (process ${before.owner.pid}); end it with Ctrl-C there, or: kill ${before.owner.pid}`,
    );
  }
  const owner = markOf(process.pid);
  writeAtomically(file, { owner, children: before?.children ?? [] } satisfies OwnerFile);
  await outlive(before?.children ?? []);
  return {
    children: (pids) => writeAtomically(file, { owner, children: pids.map(markOf) } satisfies OwnerFile),
    [Symbol.dispose]: () => rmSync(file, { force: true }),
  };
}

function read(file: string): OwnerFile | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as OwnerFile;
  } catch {
    return undefined;
  }
}

async function outlive(left: readonly ProcessMark[]): Promise<void> {
  const deadline = performance.now() + LINGER_MS;
  while (left.some(runs) && performance.now() < deadline) await wait(POLL_MS);
  for (const mark of left.filter(runs)) process.kill(mark.pid, "SIGKILL");
  while (left.some(runs)) await wait(POLL_MS);
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
