// A process of its own for tests that need one: it opens a store or locked memory and says on stdout what happened.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { LockedMemory } from "../../src/vault/memory/locked-memory.ts";
import { openVault } from "../../src/vault/open.ts";
import { openLmdbStore } from "../../src/vault/store/lmdb-store.ts";
import { ownDirectory } from "../../src/vault/store/owner.ts";
import { sealedRecord } from "../../src/vault/store/sealed.ts";
import type { BlockId } from "../../src/vault/vault.ts";
import { makeModelToken } from "../support/model-token.ts";
import { recorder } from "../support/recorder.ts";
import { until } from "../support/until.ts";
import { id, isWhole, keep, OPTIONS, realClock } from "./harness.ts";

const [job = "", argument = "", more = ""] = process.argv.slice(2);
// Synchronous and unbuffered, so that a trace of system calls shows when it was said.
const say = (line: string) => void writeSync(1, `${line}\n`);

const record = (n: number) =>
  sealedRecord(
    { kind: "block", epoch: 1, bytes: 32_768, block: `link:ab:1:${n}` as BlockId },
    new Uint8Array(randomBytes(32_798)),
  );

const jobs: Readonly<Record<string, () => Promise<void>>> = {
  /** Owns a directory until stdin ends. */
  async own() {
    const release = ownDirectory(argument);
    say("owned");
    await new Promise((resolve) => process.stdin.on("end", resolve).resume());
    release();
  },
  /** Owns a directory and dies without giving it back. */
  async ownAndDie() {
    ownDirectory(argument);
    process.kill(process.pid, "SIGKILL");
    await new Promise(() => {});
  },
  /** Commits three records, one after the other. */
  async commits() {
    const store = await openLmdbStore({ dir: argument, mapBytes: 64 << 20 });
    for (let n = 0; n < 3; n += 1) {
      say(`begin ${n}`);
      await store.write([{ op: "keep", record: record(n) }]);
      say(`durable ${n}`);
    }
    await store.close();
  },
  /** Commits records, and says which are durable, until it is killed. */
  async endless() {
    const store = await openLmdbStore({ dir: argument, mapBytes: 64 << 20 });
    for (let n = 0; ; n += 1) {
      const rows = [1, 2, 3].map((part) => ({
        op: "put" as const,
        table: "t",
        id: `part ${part}`,
        value: Buffer.from(`${n}`),
      }));
      await store.write([{ op: "keep", record: record(n) }, ...rows]);
      say(`durable ${n}`);
    }
  },
  /** Fills a disk that ends, makes room, and goes on: a whole vault on LMDB. */
  async full() {
    let unhandled = 0;
    process.on("unhandledRejection", () => {
      unhandled += 1;
    });
    const kept = recorder();
    const ports = { openToken: makeModelToken().open, clock: realClock, log: kept.log, meter: kept.meter };
    const { vault, ready } = await openVault({ ...OPTIONS, dir: argument }, ports);
    await ready;
    const health: string[] = [];
    vault.onHealth(() => health.push(vault.health().store));
    const names: string[] = [];
    const refusals = new Set<unknown>();
    while (refusals.size === 0) {
      const group = [1, 2, 3, 4].map((part) => `b${names.length + part}`);
      await keep(vault, ...group).then(
        () => names.push(...group),
        (thrown: { code: string }) => refusals.add(thrown.code),
      );
    }
    // Reads go on while it fails.
    let whole = 0;
    for (const name of names) if (await isWhole(vault, name)) whole += 1;
    const has = [...vault.blocks()].length;
    const change = vault.change();
    for (const name of names.slice(0, 40)) change.destroy(id(name));
    await change.commit();
    await until("the store is ready again", () => health.at(-1) === "ready");
    await keep(vault, "again");
    const again = await isWhole(vault, "again");
    await vault[Symbol.asyncDispose]();
    say(JSON.stringify({ kept: names.length, has, whole, refusals: [...refusals], health, unhandled, again }));
  },
  /** The disk takes no write at all for a while: LMDB's own commits fail. */
  async refuse() {
    let unhandled = 0;
    process.on("unhandledRejection", () => {
      unhandled += 1;
    });
    const fileSize = (limit: string) => spawnSync("prlimit", ["--pid", `${process.pid}`, `--fsize=${limit}:`]).status;
    const kept = recorder();
    const ports = { openToken: makeModelToken().open, clock: realClock, log: kept.log, meter: kept.meter };
    const { vault, ready } = await openVault({ ...OPTIONS, dir: argument }, ports);
    await ready;
    await keep(vault, "before");
    const health: string[] = [];
    vault.onHealth(() => health.push(vault.health().store));
    const refusals: unknown[] = [];
    const refuse = (thrown: { code: string }) => void refusals.push(thrown.code);
    fileSize("4096");
    await Promise.all([keep(vault, "lost").catch(refuse), vault.change().put("t", "x", {}).commit().catch(refuse)]);
    await vault.change().put("t", "y", {}).commit().catch(refuse);
    const whole = await isWhole(vault, "before");
    fileSize("unlimited");
    await until("the store is ready again", () => health.at(-1) === "ready");
    await keep(vault, "after");
    const blocks = [...vault.blocks()].sort();
    await vault[Symbol.asyncDispose]();
    say(JSON.stringify({ refusals, health, whole, blocks, unhandled }));
  },
  /** Locks so many bytes as a user without privileges. */
  async lock() {
    if (process.getuid?.() === 0) process.setuid?.(65_534);
    const kept = recorder();
    const memory = new LockedMemory({ allowUnlocked: more === "allowed", log: kept.log });
    try {
      const region = memory.region(Number(argument));
      say(`locked ${region.length} with ${kept.lines.length} warnings`);
    } catch (thrown) {
      say(`refused: ${(thrown as { code?: string }).code}`);
    }
  },
};

await jobs[job]?.();
