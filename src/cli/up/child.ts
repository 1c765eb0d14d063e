// A child process that is started again when it dies, and that ends when we do, however we do.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { CommandError, EXIT } from "../common/exit.ts";
import { LogFile } from "./log-file.ts";

/** A process of the reference network: its name and what it runs. */
export interface ChildPlan {
  readonly name: string;
  /** What is run; the Node that runs us when absent. */
  readonly program?: string;
  readonly args: readonly string[];
  /** What a line on its stdout has when it is ready. */
  readonly readyWhen: RegExp;
  readonly log: string;
}

/** What the network hears of its processes. */
export interface ChildEvents {
  /** A process of this child has said that it is ready: the first, one that was started again, or one once more. */
  ready(child: Child): void;
  /** A line on its stderr. */
  logged(child: Child, line: string): void;
  /** It died and is started again. */
  died(child: Child, how: string): void;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** Who lived so long begins again without a pause. */
const HEALTHY_MS = 10_000;
/** Starts without a `ready` before the first one ever, after which we give up. */
const VAIN_STARTS = 3;
const STOP_MS = 8_000;

/** No core dumps, which would have key in them; `exec`, so that the pid is the child's own. */
const SHELL = ["-c", 'ulimit -c 0; exec "$0" "$@"'];

/**
 * The child's stdin is a pipe that ends with us, kill -9 included; QKM_PARENT_PIPE=1 tells it to end then.
 * Its stdout says on a line that it is ready; its stderr goes to the log.
 */
export class Child implements AsyncDisposable {
  readonly plan: ChildPlan;
  /** Resolves at the first `ready`; rejects with a CommandError when the child cannot start. */
  readonly started: Promise<void>;
  readonly #events: ChildEvents;
  readonly #log: LogFile;
  readonly #first = Promise.withResolvers<void>();
  #process: ChildProcess | undefined;
  #latestPid = 0;
  #state: "starting" | "ready" | "pausing" | "ended" = "starting";
  #everReady = false;
  #vainStarts = 0;
  #pauseMs = FIRST_PAUSE_MS;
  #timer: NodeJS.Timeout | undefined;
  #lastLine = "";
  #said = "";
  #saidMs = 0;

  constructor(plan: ChildPlan, events: ChildEvents) {
    this.plan = plan;
    this.#events = events;
    this.#log = new LogFile(plan.log);
    this.started = this.#first.promise;
    this.started.catch(() => {});
    this.#spawn();
  }

  get state() {
    return this.#state;
  }

  /** 0 while it does not run. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The same, or that of the process before it: never 0 once one was started, so that nobody who is told it ends himself. */
  get latestPid(): number {
    return this.#latestPid;
  }

  #spawn(): void {
    this.#state = "starting";
    const born = performance.now();
    const child = spawn("/bin/sh", [...SHELL, this.plan.program ?? process.execPath, ...this.plan.args], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, QKM_PARENT_PIPE: "1" },
      detached: true, // in a group of its own: a Ctrl-C in the terminal is for us, who end it in order
    });
    this.#process = child;
    this.#latestPid = child.pid ?? this.#latestPid;
    child.stdin.on("error", () => {});
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [said] = this.plan.readyWhen.exec(line) ?? [];
      if (said !== undefined) this.#readied(said);
    });
    child.stderr.on("data", (chunk: Uint8Array) => this.#log.write(chunk));
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (/^[^\s(]/.test(line)) this.#lastLine = line;
      this.#events.logged(this, line);
    });
    child.once("exit", (code, signal) => {
      endGroup(child.pid);
      this.#exited(signal ?? `exit code ${code}`, performance.now() - born);
    });
    child.once("error", (error) => this.#exited(error.message, 0));
  }

  /** What it said when it was ready last. */
  get said(): string {
    return this.#said;
  }

  get saidMs(): number {
    return this.#saidMs;
  }

  #readied(said: string): void {
    if (this.#state !== "starting" && this.#state !== "ready") return;
    this.#said = said;
    this.#saidMs = performance.now();
    this.#state = "ready";
    this.#everReady = true;
    this.#first.resolve();
    this.#events.ready(this);
  }

  #exited(how: string, livedMs: number): void {
    this.#process = undefined;
    this.#said = "";
    if (this.#state === "ended" || this.#state === "pausing") return;
    if (!this.#everReady && ++this.#vainStarts >= VAIN_STARTS) {
      this.#state = "ended";
      const sentence = `${this.plan.name} does not start (${how}): ${this.#lastLine}; see ${this.plan.log}`;
      this.#first.reject(new CommandError(EXIT.unavailable, sentence));
      return;
    }
    this.#state = "pausing";
    this.#pauseMs = livedMs > HEALTHY_MS ? FIRST_PAUSE_MS : Math.min(2 * this.#pauseMs, LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => this.#spawn(), this.#pauseMs);
    this.#events.died(this, how);
  }

  /** Asks it to end, and makes it end after a time. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#state = "ended";
    clearTimeout(this.#timer);
    const child = this.#process;
    if (child !== undefined) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      child.stdin?.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await gone;
      clearTimeout(timer);
    }
    this.#log[Symbol.dispose]();
  }
}

/** Whatever a child leaves behind in its process group, such as the holders of pseudo-terminals. */
function endGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGTERM");
  } catch {
    // nothing was left
  }
}
