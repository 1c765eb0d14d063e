// One process per store directory: a lock of the operating system on the directory itself.

import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { loadLibc } from "../../core/memory/libc.ts";

// <sys/file.h>
const LOCK_EXCLUSIVE = 2;
const LOCK_NO_WAIT = 4;

/** What became of one try to lock. */
type Lock = { readonly fd: number } | { readonly inode: number } | "replaced";

/**
 * Takes the directory, and makes it if it is not there. The lock is flock(2) on the directory's inode: it is one for all
 * PID namespaces and bind mounts of a machine, ends with the process that has it, however that ends, and leaves no file
 * that anybody could remove. A child does not inherit it, since Node closes the descriptor in children.
 *
 * @returns gives the directory back
 * @throws Error that names the process which has it, where that can be seen from here
 */
export function ownDirectory(dir: string): () => void {
  for (;;) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const lock = tryLock(dir);
    if (lock === "replaced") continue;
    if ("inode" in lock) throw new Error(`the store ${dir} ${holder(lock.inode)}`);
    let held = true;
    return () => {
      if (held) closeSync(lock.fd);
      held = false;
    };
  }
}

let flock: ((fd: number, operation: number) => number) | undefined;

function tryLock(dir: string): Lock {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    flock ??= loadLibc({ flock: { arguments: ["i32", "i32"], return: "i32" } }).functions.flock;
    const { ino } = fstatSync(fd);
    const locked = flock(fd, LOCK_EXCLUSIVE | LOCK_NO_WAIT) === 0;
    // Whoever had it may have destroyed the directory (zeroise) between our opening and our locking.
    const current = statSync(dir, { throwIfNoEntry: false })?.ino === ino;
    if (locked && current) return { fd };
    closeSync(fd);
    return current ? { inode: ino } : "replaced";
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** Who has the lock. The kernel lists only locks of processes that this PID namespace can see. */
function holder(inode: number): string {
  const lines = locks().split("\n");
  const line = lines.find((text) => text.includes(" FLOCK ") && text.includes(`:${inode} `));
  const pid = Number(line?.trim().split(/\s+/)[4]);
  if (pid === process.pid) return `is in use by this process (pid ${pid}) already`;
  if (pid > 0) return `is in use by process ${pid}: stop it first`;
  return "is in use by a process that cannot be seen from here (in another container?): stop it first; or its file system has no flock";
}

/** Empty where a sandbox hides it (ProcSubset=pid). */
function locks(): string {
  try {
    return readFileSync("/proc/locks", "latin1");
  } catch {
    return "";
  }
}
