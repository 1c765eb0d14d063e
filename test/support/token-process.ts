// Finds the process that a key manager (or a test) has for its token.

import { readdirSync, readFileSync } from "node:fs";

/** Pids of the children of a process that run a token's main program. */
export function tokenProcessesOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isTokenOf(pid, parent));
}

function isTokenOf(pid: number, parent: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [, of] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(of) === parent && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("pkcs11/process/main.ts");
  } catch {
    return false; // it ended meanwhile
  }
}
