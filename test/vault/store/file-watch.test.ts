// A store's file that vanishes, or is exchanged, while a key manager has it open.

import { copyFileSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileWatch } from "../../../src/vault/store/file-watch.ts";
import { openLmdbStore } from "../../../src/vault/store/lmdb-store.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";

let dir: string;
let file: string;
let clock: ManualClock;
let kept: Recorder;
let open: () => Promise<Store>;
let store: Store;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "qkm-watch-"));
  file = join(dir, "data.mdb");
  clock = new ManualClock();
  kept = recorder();
  const watch = new FileWatch({ clock, ...kept });
  open = () => openLmdbStore({ dir, mapBytes: 1 << 24, watch });
  store = await open();
  await clock.run(60_000);
  expect(alarms()).toBe(0);
});
afterEach(async () => {
  await store.close();
  expect(clock.waiting).toBe(0);
  rmSync(dir, { recursive: true, force: true });
});

const alarms = () => kept.count("alarms", { alarm: "store_vanished" });
const put = { op: "put", table: "t", id: "a", value: new Uint8Array(1) } as const;

test("that vanishes is an alarm, once, and counted; back in its place it is well", async () => {
  renameSync(file, `${file}.away`);
  await clock.run(60_000);
  expect([alarms(), kept.count("store_faults", { kind: "vanished" })]).toEqual([1, 1]);
  renameSync(`${file}.away`, file);
  await clock.run(5000);
  rmSync(dir, { recursive: true });
  await clock.run(60_000);
  expect(alarms()).toBe(2);
});

test("that another takes the place of is an alarm, and is not opened while this process lives", async () => {
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
  await clock.run(5000);
  expect(alarms()).toBe(1);
  await store.close();
  await expect(open()).rejects.toThrow("restart it");
  rmSync(file);
  await expect(open()).rejects.toThrow("restart it");
});

test("that is found gone when it is opened anew is an alarm then: nobody looks at a store that is closed", async () => {
  rmSync(file);
  await store.close();
  await expect(open()).rejects.toThrow("restart it");
  expect(alarms()).toBe(1);
});

test("that is gone before it was looked at for the first time is an alarm, and stays one", async () => {
  const watch = new FileWatch({ clock, ...kept });
  watch.opened(join(dir, "none.mdb"));
  expect(alarms()).toBe(1);
  await clock.run(60_000);
  expect(alarms()).toBe(1);
  watch.closed();
});

test("that is exchanged while it is opened anew is an alarm, and none of the next openings takes the other for it", async () => {
  const watch = new FileWatch({ clock, ...kept });
  watch.opened(file);
  watch.closed();
  watch.expect(file);
  copyFileSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
  watch.opened(file);
  expect(alarms()).toBe(1);
  watch.closed();
  expect(() => watch.expect(file)).toThrow("restart it");
});

test("that cannot be told of is looked at again all the same", async () => {
  const { log, meter } = kept;
  const error = () => {
    throw new Error("the disk of the log is full");
  };
  const watch = new FileWatch({ clock, meter, log: { ...log, error } });
  const path = join(dir, "other.mdb");
  copyFileSync(file, path);
  watch.opened(path);
  const { waiting } = clock;
  rmSync(path);
  await expect(clock.run(5000)).rejects.toThrow("full");
  expect(clock.waiting).toBe(waiting);
  watch.closed();
});

test("that was destroyed on purpose may be made anew", async () => {
  await store.write([put]);
  await store.destroy();
  await clock.run(60_000);
  store = await open();
  await store.write([put]);
  expect(alarms()).toBe(0);
});
