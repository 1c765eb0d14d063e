// Two key managers of one name on one token, with copies of one folder: one of them stops, and destroys nothing of the other.

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type OpenVault, openVault } from "../../../src/vault/open.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { type ModelToken, makeModelToken } from "../../support/model-token.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { id, isWhole, KM, keep, OPTIONS } from "../harness.ts";

interface Running extends OpenVault {
  readonly kept: Recorder;
  isReady: boolean;
}

let folder: string;
let clock: ManualClock;
let token: ModelToken;
let running: Running[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "qkm-sole-"));
  clock = new ManualClock();
  token = makeModelToken();
  running = [];
});
afterEach(async () => {
  for (const { vault } of running) await close(vault);
  rmSync(folder, { recursive: true, force: true });
});

async function start(dir: string): Promise<Running> {
  const kept = recorder();
  const ports = { openToken: token.open, clock, log: kept.log, meter: kept.meter };
  const opened = await openVault({ ...OPTIONS, dir: join(folder, dir) }, ports);
  const one: Running = { ...opened, kept, isReady: false };
  opened.ready.then(
    () => {
      one.isReady = true;
    },
    () => {},
  );
  running.push(one);
  return one;
}

/** In small steps: LMDB answers turns of the event loop later. */
async function run(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    await clock.run(50);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function close(vault: Running["vault"]): Promise<void> {
  const end = vault[Symbol.asyncDispose]();
  await run(2000);
  await end;
}

/** The store takes the machine's time, whatever the clock of the test says. */
async function ready(one: Running): Promise<void> {
  for (const began = performance.now(); !one.isReady && performance.now() - began < 60_000; ) await run(100);
  expect(one.isReady).toBe(true);
}

const alarms = ({ kept }: Running, alarm: string) => kept.count("alarms", { alarm });
const copy = (from: string, to: string) => cpSync(join(folder, from), join(folder, to), { recursive: true });

async function started(dir: string): Promise<Running> {
  const one = await start(dir);
  await ready(one);
  return one;
}

test("a copy of the folder of a KM that runs is refused as long as it runs, and both tell", async () => {
  const first = await started("store");
  await keep(first.vault, "a");
  copy("store", "copy");
  const other = await start("copy");
  await run(10_000);
  expect([other.isReady, other.vault.health().token]).toEqual([false, "gone"]);
  expect(other.vault.health().tokenReason).toContain("another folder");
  expect(alarms(first, "token_asked")).toBeGreaterThan(0);
  expect([alarms(first, "token_shared"), first.vault.health().token]).toEqual([0, "ready"]);
  await first.vault.rotate(() => []);
  expect(await isWhole(first.vault, "a")).toBe(true);
  await close(first.vault);
  running.shift();
  await ready(other);
  expect((await other.ready).restored).toBe(true);
});

test("a copy that was taken while it stood still is refused, too: it would destroy the keys of the other's epochs", async () => {
  const before = await started("store");
  await keep(before.vault, "a");
  await close(before.vault);
  running.shift();
  copy("store", "copy");
  const first = await started("store");
  await first.vault.rotate(() => []);
  const other = await start("copy");
  await run(10_000);
  expect(other.isReady).toBe(false);
  expect(await isWhole(first.vault, "a")).toBe(true);
});

test("an empty folder on the token of a KM that runs is refused: it would destroy every key of an older epoch", async () => {
  const first = await started("store");
  await keep(first.vault, "a");
  const other = await start("empty");
  await run(10_000);
  expect(other.isReady).toBe(false);
  expect(await isWhole(first.vault, "a")).toBe(true);
});

test("nobody is asked where the folder is the one that it was, and nothing answers where nobody runs", async () => {
  const first = await started("store");
  await close(first.vault);
  running.shift();
  const again = await started("store");
  await close(again.vault);
  running.shift();
  copy("store", "copy");
  const other = await start("copy");
  await run(5000);
  expect(other.isReady).toBe(false);
  await ready(other);
  expect(await (await token.open()).counter(`qkm-ask-${KM}`)).toBe(0);
});

test("a KM whose guard another has moved stops using keys within 3 s, until it is restarted", async () => {
  const first = await started("store");
  await keep(first.vault, "a");
  const other = await token.open();
  await other.counter(`qkm-guard-${KM}`, (await other.counter(`qkm-guard-${KM}`)) + 1);
  await run(3000);
  expect([first.vault.health().token, alarms(first, "token_shared")]).toEqual(["gone", 1]);
  await expect(first.vault.open(id("a"))).rejects.toMatchObject({ code: "HSM_UNAVAILABLE" });
  await run(10_000);
  expect([first.vault.health().token, alarms(first, "token_shared")]).toEqual(["gone", 1]);
  await close(first.vault);
  running.shift();
  const again = await started("store");
  expect((await again.ready).restored).toBe(true);
});

test("zeroise does not wait for an answer", async () => {
  const first = await started("store");
  await keep(first.vault, "a");
  await close(first.vault);
  running.shift();
  copy("store", "copy");
  const other = await start("copy");
  await run(1000);
  expect(other.isReady).toBe(false);
  const end = other.vault.zeroise();
  await run(1500);
  await end;
  expect(token.keks()).toEqual([]);
});
