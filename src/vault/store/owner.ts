// One process per store directory: a file that names the process, honoured for as long as that process lives.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OWNER = /^owner\.(\d+)\.(\d+)\.([0-9a-f]+)$/;

/**
 * Takes the directory, and makes it if it is not there. The file `owner.<pid>.<start time>.<boot>` is unique to a process, so
 * a dead owner's file can be removed by anyone. Whoever comes writes its own file *before* it looks for others: of two
 * that come at once at least one sees the other and withdraws. Processes in another PID namespace are not seen.
 *
 * @returns gives the directory back
 * @throws Error that names the process which has it
 */
export function ownDirectory(dir: string): () => void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const own = `owner.${process.pid}.${startTime(process.pid)}.${bootId()}`;
  try {
    writeFileSync(join(dir, own), "", { flag: "wx", mode: 0o600 });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new Error(`the store ${dir} is in use by this process (pid ${process.pid}) already`, { cause });
  }
  const release = () => rmSync(join(dir, own), { force: true });
  for (const name of readdirSync(dir)) {
    const owner = name === own ? undefined : ownerOf(name);
    if (owner === undefined) continue;
    if (!owner.alive) rmSync(join(dir, name), { force: true });
    else {
      release();
      throw new Error(`the store ${dir} is in use by process ${owner.pid}: stop it first`);
    }
  }
  return release;
}

function ownerOf(name: string): { pid: number; alive: boolean } | undefined {
  const [, pid, started, boot] = OWNER.exec(name) ?? [];
  if (pid === undefined) return undefined;
  return { pid: Number(pid), alive: boot === bootId() && startTime(Number(pid)) === started };
}

/** In ticks since boot, as a decimal; undefined when there is no such process. */
function startTime(pid: number): string | undefined {
  try {
    // The second field is the command in parentheses, which may hold anything; the start time is field 22.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

const bootId = () => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").slice(0, 8);
