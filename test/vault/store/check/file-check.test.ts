// A store's file that was cut or overwritten: refused before it is mapped, set aside at the start.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serialize } from "node:v8";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openVault } from "../../../../src/vault/open.ts";
import { DamagedStore } from "../../../../src/vault/store/check/damaged-store.ts";
import { checkFile } from "../../../../src/vault/store/check/file-check.ts";
import { inspectStore } from "../../../../src/vault/store/check/inspect.ts";
import { setAsideIfDamaged } from "../../../../src/vault/store/check/set-aside.ts";
import { walkStore } from "../../../../src/vault/store/check/walk.ts";
import { openLmdbStore } from "../../../../src/vault/store/lmdb-store.ts";
import { makeModelToken } from "../../../support/model-token.ts";
import { recorder } from "../../../support/recorder.ts";
import { keep, OPTIONS, realClock } from "../../harness.ts";

const PAGE_BYTES = 4096;

let folder: string;
let sound: string;
let dir: string;

const open = async () => {
  const kept = recorder();
  const ports = { openToken: makeModelToken().open, clock: realClock, log: kept.log, meter: kept.meter };
  const { vault, ready } = await openVault({ ...OPTIONS, dir }, ports);
  await ready;
  return { vault, kept };
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "qkm-file-check-"));
  dir = join(folder, "store");
  sound = join(folder, "sound.mdb");
  mkdirSync(dir);
  const store = await openLmdbStore({ dir, mapBytes: 64 << 20 });
  for (let part = 0; part < 4; part += 1) {
    const rows = Array.from({ length: 100 }, (_, n) => ({
      op: "put" as const,
      table: "t",
      id: `${part}.${n}`,
      value: serialize({ n }),
    }));
    await store.write(rows);
  }
  await store.close();
  const { vault } = await open();
  await keep(vault, "a", "b", "c");
  await vault[Symbol.asyncDispose]();
  copyFileSync(join(dir, "data.mdb"), sound);
});

afterAll(() => rmSync(folder, { recursive: true }));

/** A damaged file beside the sound one. */
function damaged(change: (bytes: Buffer) => Buffer): string {
  const path = join(folder, "damaged.mdb");
  writeFileSync(path, change(readFileSync(sound)));
  return path;
}

test("a sound file, an empty one and none are taken", () => {
  expect(() => checkFile(sound)).not.toThrow();
  expect(() => checkFile(damaged(() => Buffer.alloc(0)))).not.toThrow();
  expect(() => checkFile(join(folder, "none.mdb"))).not.toThrow();
});

test.each([
  ["its first page", 0],
  ["its second page", PAGE_BYTES],
])("a meta page overwritten is damage: %s", (_, at) => {
  expect(() => checkFile(damaged((bytes) => bytes.fill(0, at, at + PAGE_BYTES)))).toThrow(DamagedStore);
});

test("a file that is cut is taken as long as it has all that its trees name, and refused from there on", () => {
  const whole = readFileSync(sound);
  const pages = whole.length / PAGE_BYTES;
  const taken = Array.from({ length: pages }, (_, length) => {
    try {
      checkFile(damaged((bytes) => bytes.subarray(0, (length + 1) * PAGE_BYTES - 1)));
      return true;
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(DamagedStore);
      return false;
    }
  });
  expect(taken[0]).toBe(false);
  const least = taken.indexOf(true);
  expect(least).toBeGreaterThan(10);
  // What is behind is room taken in advance.
  expect(taken.slice(least).every(Boolean)).toBe(true);
});

test("bytes that mean nothing in any page are damage or do no harm, and never another error", () => {
  const { length } = readFileSync(sound);
  let found = 0;
  for (let at = 0; at < length; at += PAGE_BYTES) {
    try {
      checkFile(damaged((bytes) => bytes.fill(0xa5, at, at + PAGE_BYTES)));
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(DamagedStore);
      found += 1;
    }
  }
  expect(found).toBeGreaterThan(5);
});

test("a KM with a cut store starts with an empty one and an alarm, and the next time without", async () => {
  const file = join(dir, "data.mdb");
  truncateSync(file, 3 * PAGE_BYTES);
  await expect(inspectStore(dir)).rejects.toBeInstanceOf(DamagedStore);
  await expect(openLmdbStore({ dir, mapBytes: 64 << 20 })).rejects.toBeInstanceOf(DamagedStore);
  const { vault, kept } = await open();
  expect([...vault.blocks()]).toEqual([]);
  expect(kept.lines.map(({ fields }) => fields)).toContainEqual(
    expect.objectContaining({ alarm: "store_damaged", aside: `${file}.damaged` }),
  );
  expect(existsSync(`${file}.damaged`)).toBe(true);
  await keep(vault, "d");
  await vault[Symbol.asyncDispose]();
  const again = await open();
  expect([...again.vault.blocks()]).toEqual(["d"]);
  expect(JSON.stringify(again.kept.lines)).not.toContain("store_damaged");
  await again.vault[Symbol.asyncDispose]();
});

/** Records of blocks, as their leaves name them, are said to have 2 GiB: no page is wrong, and whoever reads one dies of it. */
function deadly(): Buffer {
  const bytes = readFileSync(sound);
  for (let at = 2 * PAGE_BYTES; at < bytes.length; at += PAGE_BYTES) {
    if (bytes.readUInt16LE(at + 18) !== 2 || bytes.readBigUInt64LE(at) !== BigInt(at / PAGE_BYTES)) continue;
    const node = at + 24 + bytes.readUInt16LE(at + 24);
    if ((bytes.readUInt16LE(node + 4) & 1) === 1) bytes.writeUInt32LE(0x7fff_ffff, node);
  }
  return bytes;
}

test("a file of which reading dies is read by another process first, set aside, and supervised starts do not loop", async () => {
  const file = join(dir, "data.mdb");
  writeFileSync(file, deadly());
  expect(() => checkFile(file)).not.toThrow();
  await expect(walkStore(dir)).rejects.toThrow(/SIG(SEGV|BUS)/);
  const { vault, kept } = await open();
  expect([...vault.blocks()]).toEqual([]);
  expect(kept.count("alarms", { alarm: "store_damaged" })).toBe(1);
  expect(kept.count("store_faults", { kind: "damaged" })).toBe(1);
  await vault[Symbol.asyncDispose]();
  const again = await open();
  expect(again.kept.count("alarms", { alarm: "store_damaged" })).toBe(0);
  await again.vault[Symbol.asyncDispose]();
});

test("what is no damage of the file does not cost it: it is told, and tried all the same", async () => {
  copyFileSync(sound, join(dir, "data.mdb"));
  const kept = recorder();
  expect((await walkStore(dir))?.records).toBe(3);
  const path = process.execPath;
  process.execPath = join(folder, "no-such-node");
  try {
    expect(await setAsideIfDamaged(dir, kept)).toBe(false);
  } finally {
    process.execPath = path;
  }
  expect(kept.lines.map(({ level }) => level)).toEqual(["warn"]);
  expect(existsSync(join(dir, "data.mdb"))).toBe(true);
});
