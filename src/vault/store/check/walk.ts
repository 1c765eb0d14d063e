// Reads a store to its end in a process of its own: LMDB maps its file, and what is wrong there would end the process that
// reads it with SIGSEGV or SIGBUS. Better that one than a key manager, which a supervisor would start again and again.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DATA_FILE } from "../lmdb-store.ts";
import { DamagedStore } from "./damaged-store.ts";
import { checkFile } from "./file-check.ts";
import type { StoreFindings } from "./inspect.ts";

const MAIN = fileURLToPath(new URL("walk-main.ts", import.meta.url));
const NODE_FLAGS = ["--disable-sigusr1", "--no-warnings"];
/** For some GiB on a slow disk. */
const WITHIN_MS = 120_000;
/** How a process ends that reads what is not there, or not as it should be. SIGKILL is none: memory may have been short. */
const ENDED_BY_DAMAGE = new Set<string>(["SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"]);

/** What the process says before it ends. */
export type WalkAnswer =
  | { readonly found: Omit<StoreFindings, "epochs"> & { readonly epochs: readonly (readonly [number, number])[] } }
  | { readonly damaged: string }
  | { readonly error: string };

/**
 * What the store holds, all of it read; undefined when there is none yet.
 * @throws DamagedStore; Error when it cannot be told: no process, no memory, not in time
 */
export async function walkStore(dir: string): Promise<StoreFindings | undefined> {
  const file = join(dir, DATA_FILE);
  if (!existsSync(file)) return undefined;
  checkFile(file);
  const { said, code, signal } = await run(dir);
  if (signal !== null && ENDED_BY_DAMAGE.has(signal)) {
    throw new DamagedStore(`reading it to its end has ended the process that tried (${signal})`);
  }
  const answer = answerIn(said);
  if (answer === undefined) throw new Error(`the process that reads it has ended with ${signal ?? code}`);
  if ("damaged" in answer) throw new DamagedStore(answer.damaged);
  if ("error" in answer) throw new Error(answer.error);
  return { ...answer.found, epochs: new Map(answer.found.epochs) };
}

function answerIn(said: string): WalkAnswer | undefined {
  try {
    return JSON.parse(said) as WalkAnswer;
  } catch {
    return undefined;
  }
}

interface End {
  readonly said: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function run(dir: string): Promise<End> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, dir], {
      stdio: ["ignore", "pipe", "ignore"],
      timeout: WITHIN_MS,
      killSignal: "SIGKILL",
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      said += piece;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ said, code, signal }));
  });
}
