// What is written of lines that come again and again.

import { expect, test } from "vitest";
import { UnrepeatedLog } from "../../src/control/log-repeats.ts";
import { ManualClock } from "../support/manual-clock.ts";
import type { LogLine } from "../support/recorder.ts";
import { recorder } from "../support/recorder.ts";

function opened() {
  const seen = recorder();
  const clock = new ManualClock();
  const log = new UnrepeatedLog({ ...seen.log, level: "info" }, clock);
  const counts = (lines: readonly LogLine[] = seen.lines) => lines.map(({ fields }) => Number(fields.count ?? 1));
  return { seen, clock, log, counts };
}

const refused = (log: UnrepeatedLog, from: string, reason = "unknown_ca", more = {}): void =>
  log.warn({ door: "ak", from, reason, ...more }, `connection refused: ${reason}`);

test("refused connections are one line a second for each door, reason and address, and none is uncounted", () => {
  const { seen, clock, log, counts } = opened();
  for (let port = 1; port <= 1000; port++) refused(log, `192.0.2.1|${port}`);
  refused(log, "192.0.2.2|1");
  refused(log, "192.0.2.1|1", "expired");
  expect(counts()).toEqual([1, 1, 1]);
  clock.advance(1000);
  expect(counts()).toEqual([1, 1, 1, 999]);
  expect(seen.lines.at(-1)).toMatchObject({ level: "warn", fields: { from: "192.0.2.1|1000", reason: "unknown_ca" } });
});

test("what goes on for seconds is a line a second, and what has stopped begins anew", () => {
  const { clock, log, counts } = opened();
  for (let second = 0; second < 3; second++) {
    for (let port = 1; port <= 100; port++) refused(log, `192.0.2.1|${port}`);
    clock.advance(1000);
  }
  expect(counts()).toEqual([1, 99, 100, 100]);
  clock.advance(1000);
  refused(log, "192.0.2.1|1");
  expect(counts()).toEqual([1, 99, 100, 100, 1]);
});

test("the second of two is a whole line of its own, a second later at most", () => {
  const { seen, clock, log } = opened();
  for (const sha256 of ["AA", "BB"]) refused(log, "192.0.2.1|1", "unknown_ca", { sha256 });
  clock.advance(1000);
  expect(seen.lines.map(({ fields }) => [fields.sha256, fields.count])).toEqual([
    ["AA", undefined],
    ["BB", undefined],
  ]);
});

test("a flood from any number of addresses makes a bounded number of lines", () => {
  const { clock, log, counts } = opened();
  for (let host = 0; host < 65_536; host++) refused(log, `10.0.${host >> 8}.${host & 255}|1`);
  clock.advance(1000);
  expect(counts().length).toBeLessThan(600);
  expect(counts().reduce((sum, count) => sum + count, 0)).toBe(65_536);
});

test("alarms are one line a second for each name, peer and link", () => {
  const { clock, log, counts } = opened();
  for (let serial = 0; serial < 50; serial++) {
    log.error({ alarm: "leap", peer: "km-b", serial }, `serial ${serial} is refused`);
  }
  log.error({ alarm: "leap", peer: "km-c" }, "serial 1 is refused");
  clock.advance(1000);
  expect(counts()).toEqual([1, 1, 49]);
});

test("connections that one application opens and closes are a few lines a second", () => {
  const { clock, log, counts } = opened();
  for (let port = 0; port < 500; port++) {
    log.info({ door: "ak", id: "app-a1", from: `192.0.2.1|${port}` }, "connection opened");
    log.info({ door: "ak", app: "app-a1", reason: "the peer ended the connection" }, "connection closed");
  }
  clock.advance(1000);
  expect(counts()).toEqual([...Array<number>(16).fill(1), 492, 492]);
});

test("other lines are written as they come, and dispose writes what was only counted", () => {
  const { seen, log, counts } = opened();
  for (let serial = 0; serial < 100; serial++) log.info({ peer: "km-b", serial }, "a KMA-key has ended");
  expect(seen.lines).toHaveLength(100);
  for (let port = 1; port <= 3; port++) refused(log, `192.0.2.1|${port}`);
  log[Symbol.dispose]();
  expect(counts().slice(100)).toEqual([1, 2]);
});

test("the level is that of the log behind it", () => {
  const behind = { ...recorder().log, level: "info" };
  const log = new UnrepeatedLog(behind, new ManualClock());
  log.level = "debug";
  expect([behind.level, log.level]).toEqual(["debug", "debug"]);
});
