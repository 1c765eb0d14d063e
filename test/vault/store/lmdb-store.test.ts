// Tests of the LMDB store: the contract, durability as the kernel sees it, a real full disk.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLmdbStore } from "../../../src/vault/store/lmdb-store.ts";
import type { BlockId } from "../../../src/vault/vault.ts";
import { exerciseStore } from "../../contracts/store.ts";

const CHILD = join(import.meta.dirname, "../child.ts");
/** Where a root page of LMDB has the number of its transaction. */
const TXN_AT = 0x98;
const hasPrlimit = spawnSync("prlimit", ["--version"]).status === 0;
const hasStrace = spawnSync("strace", ["-V"]).status === 0;

function makeBench() {
  const dir = mkdtempSync(join(tmpdir(), "qkm-store-"));
  return {
    open: () => openLmdbStore({ dir, mapBytes: 64 << 20 }),
    remove: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

exerciseStore("LMDB", makeBench);

test("gives nothing after its end: LMDB's library would throw in a timer, which ends the process", async () => {
  const bench = makeBench();
  const store = await bench.open();
  await store.write([{ op: "put", table: "keys", id: "a", value: Buffer.from("1") }]);
  const closing = store.close();
  const head = { kind: "block", epoch: 1, bytes: 32, block: "a" as BlockId } as const;
  const reads = [
    () => store.read(head),
    () => [...store.rows("keys")],
    () => [...store.tables()],
    () => [...store.heads()],
  ];
  for (const read of reads) expect(read).toThrow("the store is closed");
  await closing;
  for (const read of reads) expect(read).toThrow("the store is closed");
  await bench.remove();
});

describe("what is durable when, as the kernel sees it", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "qkm-durable-"));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test.skipIf(!hasStrace)("a write is reported only after its data was synced and then its root, in this order", () => {
    const trace = join(dir, "trace");
    const calls = "openat,pwrite64,pwritev,fdatasync,fsync,write";
    execFileSync("strace", [
      "-f",
      "-o",
      trace,
      "-e",
      `trace=${calls}`,
      process.execPath,
      CHILD,
      "commits",
      join(dir, "s"),
    ]);
    const lines = readFileSync(trace, "utf8").split("\n");
    // LMDB writes the root of its tree through a descriptor of its own, which syncs with each write.
    const root = lines.flatMap((line) => /data\.mdb", O_WRONLY\|O_DSYNC.*= (\d+)/.exec(line)?.[1] ?? []).at(-1);
    const said = lines.join("\n").split(/write\(1, "(?:begin|durable) \d\\n"/);
    expect(said).toHaveLength(7);
    for (const commit of [said[1], said[3], said[5]]) {
      const steps = [...(commit ?? "").matchAll(/(fdatasync|pwrite64)\((\d+)/g)].map(([, call, fd]) =>
        fd === root ? "root" : call,
      );
      expect(steps.filter((step) => step !== "pwrite64").join(" ")).toBe("fdatasync root");
      expect(steps.at(-1)).toBe("root");
    }
  });

  test("a process that is killed loses nothing that was reported, and no change is there in part", async () => {
    const child = spawn(process.execPath, [CHILD, "endless", dir], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    for await (const chunk of child.stdout) {
      said += chunk;
      if (said.includes("durable 10\n")) break;
    }
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    const reported = Number([...said.matchAll(/durable (\d+)\n/g)].at(-1)?.[1]);
    const store = await openLmdbStore({ dir, mapBytes: 64 << 20 });
    const numbers = new Set([...store.rows("t")].map(([, bytes]) => Number(Buffer.from(bytes).toString())));
    expect(numbers.size).toBe(1);
    const [last] = numbers;
    expect(last).toBeGreaterThanOrEqual(reported);
    expect([...store.heads()]).toHaveLength(Number(last) + 1);
    await store.close();
  });

  test("files are for their owner alone", async () => {
    const store = await openLmdbStore({ dir: join(dir, "s"), mapBytes: 1 << 20 });
    await store.close();
    const modes = ["", "data.mdb", "lock.mdb"].map((name) => statSync(join(dir, "s", name)).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600, 0o600]);
  });

  test("changes of one turn of the event loop share one commit", async () => {
    const store = await openLmdbStore({ dir, mapBytes: 64 << 20 });
    const roots = () => readFileSync(join(dir, "data.mdb")).subarray(0, 8192);
    const txn = () => Math.max(Number(roots().readBigUInt64LE(TXN_AT)), Number(roots().readBigUInt64LE(4096 + TXN_AT)));
    const before = txn();
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        store.write([{ op: "put", table: "t", id: `${n}`, value: new Uint8Array(1) }]),
      ),
    );
    expect(txn() - before).toBe(1);
    await store.close();
  });
});

describe("a disk that is full or fails for real", () => {
  test("blocks are refused, the process lives, what was durable is whole, and room brings it back", () => {
    const dir = mkdtempSync(join(tmpdir(), "qkm-full-"));
    try {
      // The kernel refuses to let any file of this process grow beyond 4 MiB.
      const script = `ulimit -f 8192; exec "$0" "$@"`;
      const out = execFileSync("sh", ["-c", script, process.execPath, CHILD, "full", dir], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      const { kept, has, whole, refusals, health, unhandled, again } = JSON.parse(out);
      expect(kept).toBeGreaterThan(40);
      expect(has).toBe(kept);
      expect(whole).toBe(kept);
      expect(refusals).toEqual(["STORE_UNAVAILABLE"]);
      expect(health).toEqual(["failing", "ready"]);
      expect(again).toBe(true);
      expect(unhandled).toBe(0);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test.skipIf(!hasPrlimit)(
    "commits that the file system refuses are refused, and the store comes back when it takes them",
    () => {
      const dir = mkdtempSync(join(tmpdir(), "qkm-refuse-"));
      try {
        const out = execFileSync(process.execPath, [CHILD, "refuse", dir], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "ignore"],
        });
        expect(JSON.parse(out)).toEqual({
          refusals: ["STORE_UNAVAILABLE", "STORE_UNAVAILABLE", "STORE_UNAVAILABLE"],
          health: ["failing", "ready"],
          whole: true,
          blocks: ["after", "before"],
          unhandled: 0,
        });
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    },
  );
});
