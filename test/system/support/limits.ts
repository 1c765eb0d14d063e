// Limits that the kernel puts on a process: how long its files may be, how much memory it may lock.

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LogLine } from "./process.ts";

const MAIN = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const isRoot = process.getuid?.() === 0;
const has = (program: string): boolean => spawnSync(program, ["--version"]).status === 0;

export const canLimitFiles = has("prlimit");
/** Root may lock what it likes unless that is taken away from it. */
export const canLimitMemory = !isRoot || has("setpriv");

/** A running process can make no file longer than so many bytes, as if the disk were full; undefined takes the limit away. */
export function limitFileBytes(pid: number, bytes: number | undefined): void {
  execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes ?? "unlimited"}:`]);
}

/** A KM that may lock 64 KiB of memory; the caller disposes it. */
export class Unlocked implements AsyncDisposable {
  /** Resolves when it says `ready`, or with its exit code when it ends before. */
  readonly outcome: Promise<"ready" | number>;
  readonly log: LogLine[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;

  constructor(configPath: string) {
    const drop = isRoot ? ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"] : [];
    const command = [...drop, process.execPath, MAIN, configPath];
    const child = spawn("/bin/sh", ["-c", 'ulimit -c 0; ulimit -l 64; exec "$@"', "sh", ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#ended = once(child, "close").then(([code]) => Number(code));
    createInterface({ input: child.stderr }).on("line", (line) => this.log.push(JSON.parse(line) as LogLine));
    const ready = once(createInterface({ input: child.stdout }), "line").then(() => "ready" as const);
    this.outcome = Promise.race([ready, this.#ended]);
  }

  /** Ends it in order. */
  async stop(): Promise<number> {
    this.#child.kill("SIGTERM");
    return await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
