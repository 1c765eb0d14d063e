// Module simulators as processes, and cables between pseudo-terminals that one can pull out.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "./remove-tree.ts";

const MAIN = `
  import { Command } from "commander";
  import { registerModuleCommand } from ${JSON.stringify(new URL("../../src/cli/module.ts", import.meta.url).href)};
  const program = new Command("qkm");
  registerModuleCommand(program);
  await program.parseAsync(process.argv.slice(1), { from: "user" });
`;
const DEADLINE_MS = 60_000;

/** A folder that is removed with all it holds. */
export function scratchFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "qkm-kq-"));
  return { path, [Symbol.dispose]: () => removeTree(path) };
}

/** Polls until `done`. @throws Error that names `what` after a minute */
export async function waitUntil(what: string, done: () => boolean): Promise<void> {
  for (const deadline = performance.now() + DEADLINE_MS; !done(); ) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
}

const isOver = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (isOver(child)) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

/** A `qkm module` that has said that it is ready. */
export class ModuleProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly stdout: string;

  /** @throws Error with what it wrote when it ends before it is ready */
  static async start(args: readonly string[]): Promise<ModuleProcess> {
    const child = spawn(process.execPath, ["--input-type=module", "-e", MAIN, "--", "module", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    await waitUntil(`the module is ready: ${stderr}`, () => stdout.includes("\n") || isOver(child));
    if (isOver(child)) throw new Error(`the module ended: ${stderr}`);
    return new ModuleProcess(child, stdout);
  }

  private constructor(child: ChildProcess, stdout: string) {
    this.child = child;
    this.stdout = stdout;
  }

  /** Ends it, and waits for that. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await end(this.child, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** A cable: a new terminal at `path`, which carries bytes to and from the terminal `far` until it is pulled out. */
export class Cable implements AsyncDisposable {
  readonly #path: string;
  readonly #socat: ChildProcess;

  static async plug(path: string, far: string): Promise<Cable> {
    const near = `PTY,raw,echo=0,link=${path}`;
    const socat = spawn("socat", ["-b", "4096", "-t", "0", near, `OPEN:${far},raw,echo=0,nonblock,noctty`], {
      stdio: "ignore",
    });
    await waitUntil("the cable is plugged in", () => existsSync(path) || isOver(socat));
    if (isOver(socat)) throw new Error("socat could not make a cable");
    return new Cable(path, socat);
  }

  private constructor(path: string, socat: ChildProcess) {
    this.#path = path;
    this.#socat = socat;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#socat, "SIGTERM");
    await waitUntil("the cable's terminal is gone", () => !existsSync(this.#path));
  }
}
