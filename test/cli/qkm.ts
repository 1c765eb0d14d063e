// Runs `qkm` as a person would, in a process of its own, and a network for tests.

import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { removeTree } from "../support/remove-tree.ts";

const QKM = fileURLToPath(new URL("../../src/cli/qkm.sh", import.meta.url));

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export function qkm(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(QKM, args, { timeout: 120_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

/** Starts a command that goes on until it is told to end. */
export const start = (...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> =>
  spawn(QKM, args, { stdio: ["ignore", "pipe", "pipe"] });

/** A folder with a space in its name. */
export function tempDir(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "qkm cli "));
  return { path, [Symbol.dispose]: () => removeTree(path) };
}

export interface Up extends AsyncDisposable {
  readonly process: ChildProcess;
  /** What it printed when all was ready. */
  readonly line: string;
  /** From the start to that line. */
  readonly readyMs: number;
  /** Resolves with exit code or signal. */
  readonly ended: Promise<number | string>;
}

/** `qkm up --no-ui` in a folder, once it is ready. @throws Error with what it said when it ends before */
export async function up(dir: string, ...args: readonly string[]): Promise<Up> {
  const begun = performance.now();
  const child = spawn(QKM, ["up", "--no-ui", "--dir", dir, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "gone"));
  });
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const first = new Promise<string>((resolve) => createInterface({ input: child.stdout }).once("line", resolve));
  const line = await Promise.race([first, ended.then((how) => new Error(`qkm up ended (${how}): ${said}`))]);
  if (line instanceof Error) throw line;
  return {
    process: child,
    line,
    readyMs: performance.now() - begun,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Whether a process runs. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
