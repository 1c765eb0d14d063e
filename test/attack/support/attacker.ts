// An attacker as a process of its own, so that what it costs is not measured as the key manager's.

import { spawn } from "node:child_process";
import { constants, setPriority } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const STARTS_MS = 120_000;

/** Runs `attackers/<name>.ts` with its options as JSON, until it is disposed. Resolves when it has said that it is at work. */
export async function startAttacker(name: string, options: object): Promise<AsyncDisposable> {
  const file = fileURLToPath(new URL(`../attackers/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
  // Elsewhere it would not work on the key manager's processors.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const attacker = {
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
  try {
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).once("line", () => resolve());
      const late = setTimeout(() => reject(new Error(`the attacker ${name} does not begin`)), STARTS_MS);
      void ended.then(() => reject(new Error(`the attacker ${name} has ended`))).finally(() => clearTimeout(late));
    });
  } catch (thrown) {
    await attacker[Symbol.asyncDispose]();
    throw thrown;
  }
  return attacker;
}
