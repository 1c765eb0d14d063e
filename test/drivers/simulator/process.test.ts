// `qkm module` as a process: how it begins, ends, dies, and what it says when it is told nonsense.

import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, onTestFinished, test } from "vitest";
import { registerModuleCommand } from "../../../src/cli/module.ts";
import { ModuleProcess, scratchFolder, waitUntil } from "../../support/pty.ts";

function scratch(): (name: string) => string {
  const folder = scratchFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  return (name) => join(folder.path, name);
}

const basics = (path: (name: string) => string) => ["--link", "ab", "--a", path("a"), "--b", path("b")];

async function start(args: readonly string[]): Promise<ModuleProcess> {
  const module = await ModuleProcess.start(args);
  onTestFinished(() => module.kill());
  return module;
}

/** Pids of the socat processes whose command line names `path`. */
function terminalsAt(path: string): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => isTerminalAt(pid, path)).map(Number);
}

function isTerminalAt(pid: string, path: string): boolean {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return line.startsWith("socat\0") && line.includes(path);
  } catch {
    return false;
  }
}

test("it says that it is ready when both ports are there, and ends with 0 and without a trace on SIGTERM", async () => {
  const path = scratch();
  const module = await start(basics(path));
  expect(module.stdout).toBe("module ready ab\n");
  expect([existsSync(path("a")), existsSync(path("b"))]).toEqual([true, true]);
  expect(terminalsAt(path("")).length).toBe(2);
  await module.kill("SIGTERM");
  expect(module.child.exitCode).toBe(0);
  expect(lstatSync(path("a"), { throwIfNoEntry: false })).toBeUndefined();
  expect(terminalsAt(path("")).length).toBe(0);
});

test("killed without warning it takes its terminals with it, and a successor has the same paths at once", async () => {
  const path = scratch();
  const first = await start(basics(path));
  await first.kill("SIGKILL");
  await start(basics(path));
  await waitUntil("the first one's terminals are gone", () => terminalsAt(path("")).length === 2);
  expect([existsSync(path("a")), existsSync(path("b"))]).toEqual([true, true]);
});

test("a terminal that dies ends the simulator with a sentence and a code", async () => {
  const path = scratch();
  const module = await start(basics(path));
  const [pid = 0] = terminalsAt(path("a"));
  process.kill(pid, "SIGKILL");
  await waitUntil("the simulator has ended", () => module.child.exitCode !== null);
  expect(module.child.exitCode).not.toBe(0);
});

test("every start takes the next run of the run file", async () => {
  const path = scratch();
  const args = [...basics(path), "--run-file", path("run")];
  for (const run of ["1\n", "2\n"]) {
    const module = await start(args);
    expect(readFileSync(path("run"), "utf8")).toBe(run);
    await module.kill("SIGKILL");
  }
});

/** The command in this process, which must end by itself. */
async function refused(args: readonly string[]): Promise<string> {
  const program = new Command("qkm").exitOverride().configureOutput({ writeErr: () => {} });
  registerModuleCommand(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
  const thrown: unknown = await program.parseAsync(["module", ...args], { from: "user" }).catch((error) => error);
  return thrown instanceof Error ? thrown.message : "";
}

test.each([
  ["a block size that is no power of two", ["--block-bytes", "5000"], "must be 4096"],
  ["a probability above 1", ["--lose-blocks", "1.5"], "from 0 to 1"],
  ["an empty rate", ["--rate-bits-per-s", ""], "a number above 0"],
  ["a bad link ID", ["--link", "a b"], "a link's ID must be"],
  ["a pairing key file that is not there", ["--pairing-key-file", "/nonexistent"], "cannot be read"],
  ["a port in a folder that is not there", ["--a", "/nonexistent/a"], "a folder that one can write"],
])("%s is refused with a sentence", async (_what, more, sentence) => {
  const path = scratch();
  expect(await refused([...basics(path), ...more])).toContain(sentence);
  expect(terminalsAt(path(""))).toEqual([]);
});

test("a run file that holds no number is refused", async () => {
  const path = scratch();
  writeFileSync(path("run"), "many\n");
  expect(await refused([...basics(path), "--run-file", path("run")])).toContain("holds no run number");
  expect(terminalsAt(path(""))).toEqual([]);
});

test("a path with commas and colons is a path", async () => {
  const path = scratch();
  await start(["--link", "ab", "--a", path("a,mode=777:x"), "--b", path("b!!b")]);
  expect([existsSync(path("a,mode=777:x")), existsSync(path("b!!b"))]).toEqual([true, true]);
});
