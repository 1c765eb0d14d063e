// A whole KM with models of its watchdog and of systemd: what stops the kicks, which end disarms it, what systemd is told.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ModelSystemd } from "../support/model-systemd.ts";
import { ModelWatchdog } from "../support/model-watchdog.ts";
import { eventually } from "./support/eventually.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";

const TIMEOUT_MS = 2_500;

const dir = mkdtempSync(join(tmpdir(), "qkm-watchdog-"));
let systemd: ModelSystemd;
let watchdog: ModelWatchdog;
let network: Network;
let km: Km;
beforeAll(async () => {
  systemd = new ModelSystemd(join(dir, "notify"));
  // As systemd does; the processes of tests take what this one has.
  process.env.NOTIFY_SOCKET = systemd.path;
  process.env.WATCHDOG_USEC = "30000000";
  watchdog = new ModelWatchdog(TIMEOUT_MS);
  const config = { watchdog: { device: watchdog.device, required: true } };
  network = await startNetwork({ kms: [{ id: "km-a", apps: ["app-a1", "app-a2"] }], links: [], config });
  km = network.km("km-a");
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
  watchdog?.[Symbol.dispose]();
  systemd?.[Symbol.dispose]();
  delete process.env.NOTIFY_SOCKET;
  delete process.env.WATCHDOG_USEC;
  rmSync(dir, { recursive: true });
});

/** Waits until the running KM has kicked it so many times more. */
async function kicked(times = 1): Promise<void> {
  const before = watchdog.kicks;
  await eventually("the watchdog is kicked", () => watchdog.kicks >= before + times);
  expect(watchdog).toMatchObject({ isHeld: true, hasReset: false });
}

test("a KM that runs kicks its watchdog all the time, and says so", async () => {
  await kicked(2);
  const page = await km.metrics();
  expect(page.sum("qkm_watchdog_armed")).toBe(1);
  expect(page.sum("qkm_watchdog_kicks_total")).toBeGreaterThan(0);
  expect((await km.status()).health).toMatchObject({ healthy: true });
});

test("systemd is told that the KM is ready, and again and again that it lives", async () => {
  await eventually("it is ready", () => systemd.lines.includes("READY=1"));
  await eventually("it is healthy", () => systemd.lines.includes("STATUS=healthy"));
  systemd.forget();
  await eventually("it lives", () => systemd.lines.filter((line) => line === "WATCHDOG=1").length >= 2);
  expect(systemd.lines).not.toContain("READY=1");
});

test("design 9: a KM that is frozen kicks no more: the watchdog resets the machine", async () => {
  process.kill(km.pid, "SIGSTOP");
  try {
    await eventually("the watchdog resets the machine", () => watchdog.hasReset);
  } finally {
    process.kill(km.pid, "SIGCONT");
  }
  await kicked();
});

test("a KM that is killed leaves it armed, and the next one kicks on", async () => {
  await km.kill("SIGKILL");
  expect(watchdog).toMatchObject({ isHeld: false, isDisarmed: false });
  await km.start();
  await kicked();
});

test("an orderly stop disarms it", async () => {
  expect(await km.kill("SIGTERM")).toBe(0);
  expect(watchdog.isDisarmed).toBe(true);
});

test("a KM that is zeroised has ended in order too: it is disarmed", async () => {
  await km.start();
  await kicked();
  // Its socket holds a few lines only.
  systemd.forget();
  await expect(km.control("zeroise")).resolves.toBeDefined();
  await km.exited;
  expect(watchdog.isDisarmed).toBe(true);
  expect(systemd.lines.slice(-2)).toEqual(["STOPPING=1", "STATUS=zeroised"]);
});

test("a KM that requires a watchdog does not start without one", async () => {
  watchdog.pull();
  const from = km.logBytes;
  await expect(km.start()).rejects.toThrow("before it was ready");
  expect(km.logLines(from)).toContainEqual(expect.objectContaining({ fault: "WATCHDOG_UNAVAILABLE" }));
});
