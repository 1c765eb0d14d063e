// Tests of the ownership of a store's directory, between real processes.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownDirectory } from "../../../src/vault/store/owner.ts";
import { keep, OPTIONS, openBench, realClock } from "../harness.ts";

const CHILD = join(import.meta.dirname, "../child.ts");

describe("the owner of a directory", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "qkm-owner-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test("is one process: another is refused with the owner's pid, and may come when it has ended", async () => {
    const child = spawn(process.execPath, [CHILD, "own", dir], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    expect(() => ownDirectory(dir)).toThrow(`in use by process ${child.pid}`);
    expect(readdirSync(dir)).toHaveLength(1);
    child.stdin.end();
    await once(child, "exit");
    const release = ownDirectory(dir);
    release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("is forgotten when it was killed", () => {
    expect(spawnSync(process.execPath, [CHILD, "ownAndDie", dir]).signal).toBe("SIGKILL");
    expect(readdirSync(dir)).toHaveLength(1);
    const release = ownDirectory(dir);
    expect(readdirSync(dir)).toHaveLength(1);
    release();
  });

  test("is not taken for another process that has its pid now, or had it before the machine was started", () => {
    writeFileSync(join(dir, `owner.${process.ppid}.1.00000000`), "");
    writeFileSync(join(dir, `owner.${process.pid}.1.00000000`), "");
    writeFileSync(join(dir, "owner.notes"), "");
    ownDirectory(dir)();
    expect(readdirSync(dir)).toEqual(["owner.notes"]);
  });

  test("cannot be the same process twice", () => {
    const release = ownDirectory(dir);
    expect(() => ownDirectory(dir)).toThrow(`by this process (pid ${process.pid}) already`);
    release();
    ownDirectory(dir)();
  });

  test("a vault gives its directory back at the end, and when it cannot open", async () => {
    const options = { ...OPTIONS, dir: join(dir, "store") };
    const { openVault } = await import("../../../src/vault/open.ts");
    await using bench = await openBench();
    const ports = { openToken: bench.token.open, clock: realClock, ...bench.recorder };
    const one = await openVault(options, ports);
    await one.ready;
    await keep(one.vault, "a");
    await expect(openVault(options, ports)).rejects.toThrow("already");
    await one.vault[Symbol.asyncDispose]();
    const again = await openVault(options, ports);
    await again.ready;
    expect([...again.vault.blocks()]).toEqual(["a"]);
    await again.vault[Symbol.asyncDispose]();
    expect(readdirSync(options.dir).sort()).toEqual(["data.mdb", "lock.mdb"]);
  });
});
