// Tests of the ownership of a store's directory, between real processes.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownDirectory } from "../../../src/vault/store/owner.ts";
import { makeModelToken } from "../../support/model-token.ts";
import { recorder } from "../../support/recorder.ts";
import { keep, OPTIONS, realClock } from "../harness.ts";

const CHILD = join(import.meta.dirname, "../child.ts");

/** Runs what follows as the first process of a PID namespace of its own, where the kernel and our rights allow it. */
const IN_A_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"];
const namespaces = spawnSync("unshare", [...IN_A_NAMESPACE.slice(1), "true"]).status === 0;

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
    child.stdin.end();
    await once(child, "exit");
    const release = ownDirectory(dir);
    release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("is forgotten when it was killed", () => {
    expect(spawnSync(process.execPath, [CHILD, "ownAndDie", dir]).signal).toBe("SIGKILL");
    ownDirectory(dir)();
  });

  test.skipIf(!namespaces)("is seen from another PID namespace, and sees whoever is in one", async () => {
    const release = ownDirectory(dir);
    const inside = [...IN_A_NAMESPACE, process.execPath, CHILD, "own", dir];
    const [unshare = "", ...args] = inside;
    const refused = spawnSync(unshare, args, { encoding: "utf8" });
    expect(refused.stdout).toBe("");
    expect(refused.stderr).toContain("is in use by a process that cannot be seen from here");
    release();
    const child = spawn(unshare, args, { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    expect(() => ownDirectory(dir)).toThrow("is in use by process");
    child.stdin.end();
    await once(child, "exit");
    ownDirectory(dir)();
  });

  test("leaves no file, and whoever removes all files takes nothing from the owner", () => {
    const release = ownDirectory(dir);
    expect(readdirSync(dir)).toEqual([]);
    expect(() => ownDirectory(dir)).toThrow("in use");
    release();
  });

  test("of a directory that was removed does not keep others from the one that came in its place", () => {
    const store = join(dir, "store");
    const release = ownDirectory(store);
    rmSync(store, { recursive: true });
    const again = ownDirectory(store);
    release();
    expect(() => ownDirectory(store)).toThrow("in use");
    again();
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
    const ports = { openToken: makeModelToken().open, clock: realClock, ...recorder() };
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
