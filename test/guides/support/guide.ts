// A guide of docs/guides as its reader uses it: the commands of its sections run, and its configuration pasted.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const QKM = fileURLToPath(new URL("../../../src/cli/qkm.sh", import.meta.url));
/** Where a file of the guides lies. */
export const guideFile = (name: string): string =>
  fileURLToPath(new URL(`../../../docs/guides/${name}`, import.meta.url));

const DEADLINE_MS = 120_000;

/** A folder for a network, without a space in its name: the commands of the guides need none. */
export function guideDir(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "qkm-guide-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The lines of a section of a guide, by its number. */
function section(guide: string, number: number): readonly string[] {
  const [, found] = readFileSync(guideFile(guide), "utf8").split(new RegExp(`^## ${number}\\. `, "m"));
  if (found === undefined) throw new Error(`${guide} has no section ${number}`);
  return (found.split(/^## /m)[0] ?? "").split("\n");
}

/** The commands of some sections: what is indented. */
export const commandsOf = (guide: string, ...numbers: readonly number[]): string =>
  numbers
    .flatMap((number) => section(guide, number))
    .filter((line) => line.startsWith("    "))
    .map((line) => line.slice(4))
    .join("\n");

/** The first configuration of a section, between its fences. */
export function tomlOf(guide: string, number: number): string {
  const lines = section(guide, number);
  const from = lines.indexOf("```toml") + 1;
  return lines.slice(from, lines.indexOf("```", from)).join("\n");
}

/** How commands ended, with all that they said. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs commands as a person types them, until one fails. `npx qkm` is the one of this folder. */
export const runCommands = (cwd: string, commands: string): Promise<Ran> =>
  run("bash", ["-eu", "-o", "pipefail", "-c", `npx() { shift; '${QKM}' "$@"; }\n${commands}`], { cwd });

/** Runs a program to its end. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: DEADLINE_MS, ...options }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}
