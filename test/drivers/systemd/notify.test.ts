// Tests of drivers/systemd/notify.ts against a socket that listens as systemd does.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSystemd } from "../../../drivers/systemd/notify.ts";
import { ModelSystemd } from "../../support/model-systemd.ts";

let dir: string;
let systemd: ModelSystemd;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-systemd-"));
  systemd = new ModelSystemd(join(dir, "notify"));
});
afterEach(() => {
  systemd[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

const opened = (more: Readonly<Record<string, string>> = {}) => {
  const display = openSystemd({ NOTIFY_SOCKET: systemd.path, ...more });
  if (display === undefined) throw new Error("systemd is not told");
  return display;
};

test("without NOTIFY_SOCKET nobody is told", () => {
  expect(openSystemd({})).toBeUndefined();
  expect(openSystemd({ NOTIFY_SOCKET: "" })).toBeUndefined();
});

test("READY is told once, when it has booted, and STATUS when it changes", () => {
  const display = opened();
  for (const condition of ["booting", "booting", "degraded", "healthy", "healthy"] as const)
    display.show(condition, true);
  const told = systemd.lines.filter((line) => !line.startsWith("EXTEND_TIMEOUT_USEC="));
  expect(told).toEqual(["STATUS=booting", "STATUS=degraded", "READY=1", "STATUS=healthy"]);
});

test("a start that gets on is given more time, one that hangs is not", () => {
  const display = opened();
  display.show("booting", true);
  expect(systemd.lines).toContain("EXTEND_TIMEOUT_USEC=60000000");
  systemd.forget();
  display.show("booting", false);
  display.show("healthy", true);
  expect(systemd.lines.filter((line) => line.startsWith("EXTEND"))).toEqual([]);
});

test("the watchdog is fed while the process is alive, where systemd watches this process", () => {
  const display = opened({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: String(process.pid) });
  display.show("healthy", true);
  display.show("healthy", false);
  display.show("fault", false);
  expect(systemd.lines.filter((line) => line === "WATCHDOG=1")).toHaveLength(1);
  systemd.forget();
  opened({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }).show("healthy", true);
  opened().show("healthy", true);
  expect(systemd.lines).not.toContain("WATCHDOG=1");
});

test("the end is told, and whether the keys are gone", () => {
  const display = opened();
  display.end("healthy");
  display.end("zeroised");
  expect(systemd.lines).toEqual(["STOPPING=1", "STATUS=stopping", "STOPPING=1", "STATUS=zeroised"]);
});

test("systemd that is gone, or does not read, stops nothing", () => {
  const display = opened({ WATCHDOG_USEC: "1" });
  for (let told = 0; told < 2_000; told++) display.show("healthy", true);
  systemd[Symbol.dispose]();
  display.show("fault", true);
});

test("a name that is too long for a socket is an error", () => {
  expect(() => openSystemd({ NOTIFY_SOCKET: `/${"x".repeat(200)}` })).toThrow(RangeError);
});
