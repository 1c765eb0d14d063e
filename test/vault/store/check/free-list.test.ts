// LMDB's list of free pages: whatever it names is written over, so what it names must be free.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DamagedStore } from "../../../../src/vault/store/check/damaged-store.ts";
import { checkFile } from "../../../../src/vault/store/check/file-check.ts";
import { checkFreeList } from "../../../../src/vault/store/check/free-list.ts";
import { openLmdbStore } from "../../../../src/vault/store/lmdb-store.ts";

const listOf = (...numbers: readonly number[]): Buffer =>
  Buffer.from(BigInt64Array.from(numbers.map((number) => BigInt(number))).buffer);
const LAST = 40n;
const isInUse = (page: bigint): boolean => page === 30n;

test.each([
  ["no page at all", listOf(0)],
  ["pages, empty slots, and runs of pages", listOf(6, 7, 0, -3, 9, 0, 40)],
  ["less than its place", listOf(1, 7, 30, 99)],
  ["a run whose first page is in another list", listOf(2, 7, -3)],
])("a list with %s is taken", (_, list) => {
  expect(() => checkFreeList(list, LAST, isInUse)).not.toThrow();
});

test.each([
  ["more pages than its place has", listOf(3, 7, 8)],
  ["a length below zero", listOf(-1, 7)],
  ["a meta page", listOf(1, 1)],
  ["a page that was never used", listOf(1, 41)],
  ["a run that goes on behind the last page", listOf(2, -3, 39)],
  ["a run without end", listOf(2, Number.MIN_SAFE_INTEGER, 7)],
  ["a page in use", listOf(2, 7, 30)],
  ["a page in use within a run", listOf(2, -4, 28)],
])("a list with %s is damage", (_, list) => {
  expect(() => checkFreeList(list, LAST, isInUse)).toThrow(DamagedStore);
});

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-free-list-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Rows and records that come, change and go, as in a store that is in use; closed again. */
async function wear(rounds: number): Promise<void> {
  const store = await openLmdbStore({ dir, mapBytes: 64 << 20 });
  let seed = 1;
  const upTo = (most: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % most;
  };
  for (let round = 0; round < rounds; round++) {
    const head = () => ({ kind: "block" as const, epoch: upTo(3), bytes: 8192 * (1 + upTo(4)), block: `b${upTo(60)}` });
    const record = head();
    await store.write([
      { op: "put", table: "t", id: `r${upTo(300)}`, value: new Uint8Array(10 + upTo(2000)) },
      { op: "remove", table: "t", id: `r${upTo(300)}` },
      { op: "keep", record: { ...record, record: new Uint8Array(record.bytes) } },
      { op: "drop", head: head() },
      { op: "drop", head: head() },
    ] as Parameters<typeof store.write>[0]);
  }
  await store.close();
}

test("what LMDB writes is taken, at each end of its use, and a list of it that was changed is damage", async () => {
  const file = join(dir, "data.mdb");
  for (const rounds of [1, 30, 100, 100, 1]) {
    await wear(rounds);
    expect(() => checkFile(file)).not.toThrow();
  }
  const sound = readFileSync(file);
  // Each page of the tree of free pages, by the root in the newer meta page.
  const newer = sound.readBigUInt64LE(152) > sound.readBigUInt64LE(4096 + 152) ? 0 : 4096;
  const root = Number(sound.readBigUInt64LE(newer + 88)) * 4096;
  const node = root + sound.readUInt16LE(root + 24) + 24;
  const list = node + 8 + sound.readUInt16LE(node + 6);
  for (const count of [1n << 40n, 0xffff_ffff_ffff_ffffn]) {
    const broken = Buffer.from(sound);
    broken.writeBigUInt64LE(count, list);
    writeFileSync(file, broken);
    expect(() => checkFile(file)).toThrow("free pages");
  }
  const shared = Buffer.from(sound);
  shared.writeBigUInt64LE(1n, list);
  shared.writeBigUInt64LE(sound.readBigUInt64LE(newer + 136), list + 8);
  writeFileSync(file, shared);
  expect(() => checkFile(file)).toThrow("in use");
});
