// A KM or module simulator as a process that says `ready`, that tests kill and start again, and that ends with the test.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { createInterface } from "node:readline";

const STARTS_MS = 240_000;
const STOPS_MS = 60_000;
/** No core dumps, which would have key in them; `exec`, so that the pid is the process's own. */
const SHELL = ["-c", 'ulimit -c 0; exec "$0" "$@"', process.execPath];

/** How a process ended: its exit code, or the signal. */
export type Ended = number | NodeJS.Signals;

/** A line of a log: JSON as the process wrote it. */
export interface LogLine extends Readonly<Record<string, unknown>> {
  readonly level: unknown;
  readonly event?: string;
  readonly alarm?: string;
}

export class TestProcess implements AsyncDisposable {
  readonly name: string;
  /** Standard error, of all starts. */
  readonly logPath: string;
  #child: ChildProcess | undefined;
  #exit: Promise<Ended> = Promise.resolve(0);

  constructor(name: string, logPath: string) {
    this.name = name;
    this.logPath = logPath;
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Resolves when the process of the last start has ended. */
  get exited(): Promise<Ended> {
    return this.#exit;
  }

  /** Runs our Node with these arguments and waits for `ready` on its stdout. @throws Error with the log's last lines */
  async spawn(args: readonly string[]): Promise<void> {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const log = openSync(this.logPath, "a", 0o600);
    const child = spawn("/bin/sh", [...SHELL, ...args], {
      stdio: ["pipe", "pipe", log],
      env: { ...process.env, QKM_PARENT_PIPE: "1" },
      detached: true, // a group of its own, so that its own children can be ended with it
    });
    closeSync(log);
    this.#child = child;
    child.stdin?.on("error", () => {});
    this.#exit = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#child = undefined;
        endGroup(child.pid);
        resolve(signal ?? code ?? -1);
      });
    });
    await this.#ready(child);
  }

  #ready({ stdout }: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(`${this.name} ${why}:\n${this.#lastLines()}`));
      const timer = setTimeout(() => fail("is not ready in time"), STARTS_MS);
      void this.#exit.then((how) => {
        clearTimeout(timer);
        fail(`ended (${how}) before it was ready`);
      });
      if (stdout === null) return;
      createInterface({ input: stdout }).on("line", (line) => {
        if (!/\bready\b/.test(line)) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #lastLines(): string {
    return readFileSync(this.logPath, "utf8").split("\n").slice(-12).join("\n");
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    this.#child?.kill(signal);
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), STOPS_MS);
    const how = await this.#exit;
    clearTimeout(timer);
    return how;
  }

  /** The log's length so far, for `logLines`. */
  get logBytes(): number {
    return existsSync(this.logPath) ? statSync(this.logPath).size : 0;
  }

  /** The log's lines that are whole JSON objects, from a byte on. */
  logLines(fromByte = 0): LogLine[] {
    if (!existsSync(this.logPath)) return [];
    return readFileSync(this.logPath).subarray(fromByte).toString().split("\n").flatMap(parsed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGTERM");
  }
}

function parsed(line: string): LogLine[] {
  try {
    return [JSON.parse(line) as LogLine];
  } catch {
    return []; // the last line of a process that was killed
  }
}

/** Ends what a process left in its group, such as the holders of pseudo-terminals. */
function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, "SIGTERM");
  } catch {
    // nothing was left
  }
}
