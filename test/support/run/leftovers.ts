// Around all tests of a run: whatever they leave behind, a process, a socket, a token or a file, fails `npm test`.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

/** For processes that were told to end, and do. */
const ENDS_MS = 60_000;
const POLL_MS = 50;
const LISTED = 50;

let dir = "";
let isQuick = false;

/** A temporary folder for the run alone: every process of the tests inherits it, and is known by it. */
export function setup({ vite }: TestProject): void {
  isQuick = vite.config.mode === "test";
  dir = mkdtempSync(join(tmpdir(), "qkm-test-"));
  process.env.TMPDIR = dir;
}

/** Names processes and files that are left, and fails the run of `npm test`. */
export async function teardown(): Promise<void> {
  for (const deadline = performance.now() + ENDS_MS; processes().length > 0 && performance.now() < deadline; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const left = [...processes(), ...readdirSync(dir, { recursive: true }).map((path) => join(dir, String(path)))];
  rmSync(dir, { recursive: true, force: true });
  if (left.length === 0) return;
  process.stdout.write(`\nFAIL the tests left behind:\n  ${left.slice(0, LISTED).join("\n  ")}\n`);
  if (isQuick) process.exitCode = 1; // what is thrown here is printed, and forgotten
}

/** Those of the run that are not its workers, which end later. */
function processes(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, parent = ""] = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
        const isOurs = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`TMPDIR=${dir}`);
        if (!isOurs || [pid, parent].includes(String(process.pid))) return [];
        return [`process ${pid}: ${readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")}`];
      } catch {
        return []; // it has just ended, or is somebody else's
      }
    });
}
