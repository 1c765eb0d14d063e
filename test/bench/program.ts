// A program under measurement: a process of its own, by default on the same Node, which says `ready` and ends when we do.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const READY_MS = 60_000;
const STOP_MS = 10_000;
const NANOS_PER_S = 1e9;
/** Where `qkm` keeps what Node compiled: without it a KM weighs some 20 MiB more, of which Node compiles TypeScript. */
const COMPILED = fileURLToPath(new URL("../../node_modules/.cache/compile", import.meta.url));

export interface ProgramPlan {
  /** Arguments for Node: its own, the file, the file's. */
  readonly args: readonly string[];
  /** Instead of this Node. */
  readonly command?: string;
  /** The line on stdout that says it is ready, when it is not one with `ready` in it. */
  readonly ready?: RegExp;
  /** Where its stderr goes. */
  readonly log: string;
}

const running = new Set<Program>();

/** Ends all programs that run, for example on Ctrl-C. */
export async function endPrograms(): Promise<void> {
  await Promise.all([...running].map((program) => program[Symbol.asyncDispose]()));
}

export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #lines: string[] = [];
  #told: () => void = () => {};
  /** Milliseconds from the start of the process to its `ready`. */
  readyMs = Number.NaN;
  /** The line that had `ready` in it. */
  said = "";

  /** Resolves at `ready`. @throws Error with the end of its log when it ends before, or takes longer than a minute */
  static async start(plan: ProgramPlan): Promise<Program> {
    const began = performance.now();
    const program = new Program(plan);
    try {
      program.said = await program.line(plan.ready ?? /\bready\b/, READY_MS);
    } catch (thrown) {
      await program[Symbol.asyncDispose]();
      throw thrown;
    }
    program.readyMs = performance.now() - began;
    return program;
  }

  private constructor({ args, log, command = process.execPath }: ProgramPlan) {
    this.#log = log;
    const logFile = openSync(log, "a");
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", logFile],
      env: { NODE_COMPILE_CACHE: COMPILED, ...process.env, QKM_PARENT_PIPE: "1" },
    });
    closeSync(logFile);
    this.#child.stdin?.on("error", () => {});
    running.add(this);
    for (const end of ["exit", "error"]) {
      this.#child.once(end, () => {
        running.delete(this);
        this.#told();
      });
    }
    if (this.#child.stdout === null) throw new Error("a program has a stdout");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.#lines.push(line);
      this.#told();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get #ended(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The next line on its stdout that fits. @throws Error when it ends before, or in vain after `timeoutMs` */
  async line(pattern: RegExp, timeoutMs: number): Promise<string> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        if (pattern.test(line)) return line;
      }
      const left = deadline - performance.now();
      if (this.#ended || left <= 0)
        throw new Error(`no line ${pattern} came from ${this.#child.spawnargs.join(" ")}: ${this.#tail()}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, left);
      this.#told = resolve;
      await promise;
      clearTimeout(timer);
    }
  }

  #tail(): string {
    return readFileSync(this.#log, "utf8").slice(-1000);
  }

  /** CPU time that it has used, in seconds, all its threads and all its own processes together. */
  cpuSeconds(): number {
    return processesOf(this.pid).reduce((sum, pid) => sum + processorSecondsOf(pid), 0);
  }

  /** The same of its main thread alone. */
  mainSeconds(): number {
    return nanosOf(`/proc/${this.pid}/schedstat`) / NANOS_PER_S;
  }

  /** Bytes that are in RAM now. */
  residentBytes(): number {
    const [, kib = ""] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "latin1")) ?? [];
    return Number(kib) * 1024;
  }

  /** Bytes of a mapped file that are in RAM now and in its memory map: the system takes them back when it wants to. */
  mappedBytes(file: string): number {
    let [kib, isInFile] = [0, false];
    for (const line of readFileSync(`/proc/${this.pid}/smaps`, "utf8").split("\n")) {
      if (/^[\da-f]+-[\da-f]+ /.test(line)) isInFile = line.endsWith(file);
      else if (isInFile && line.startsWith("Rss:")) kib += Number(/\d+/.exec(line)?.[0] ?? 0);
    }
    return kib * 1024;
  }

  /** Asks it to end, and makes it end after a time. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS);
    await exit;
    clearTimeout(timer);
  }
}

/** A process and those that it has started. */
function processesOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").map(Number);
  return [pid, ...children.filter((child) => child > 0).flatMap(processesOf)];
}

/** Of the threads that it has now. */
export function processorSecondsOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + nanosOf(`/proc/${pid}/task/${thread}/schedstat`), 0) / NANOS_PER_S;
}

/** Nanoseconds on a processor; 0 for a thread that has just ended. */
function nanosOf(schedstat: string): number {
  try {
    return Number(readFileSync(schedstat, "latin1").split(" ")[0]);
  } catch {
    return 0;
  }
}
