// A process of its own for tests that need one: it opens a store or locked memory and says on stdout what happened.

import { randomBytes } from "node:crypto";
import { writeSync } from "node:fs";
import { openLmdbStore } from "../../src/vault/lmdb-store.ts";
import { LockedMemory } from "../../src/vault/locked-memory.ts";
import { ownDirectory } from "../../src/vault/owner.ts";
import { sealedRecord } from "../../src/vault/sealed.ts";
import type { BlockId } from "../../src/vault/vault.ts";
import { recorder } from "../support/recorder.ts";

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
      const rows = [1, 2, 3].map((part) => ({ op: "put" as const, table: "t", id: `part ${part}`, row: { n } }));
      await store.write([{ op: "keep", record: record(n) }, ...rows]);
      say(`durable ${n}`);
    }
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
