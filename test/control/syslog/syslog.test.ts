// Log and audit log at a syslog server: what it gets, and what becomes of it while the server, the disk or this process is away.

import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SyslogFormat, wholeFrames } from "../../../src/control/syslog/format.ts";
import { openSyslog, type Syslog } from "../../../src/control/syslog/syslog.ts";
import { systemClock } from "../../../src/control/system.ts";
import { type Authority, authority } from "../../support/certificates.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";
import { until } from "../../support/until.ts";
import { type SyslogEnd, syslogServer } from "./syslog-kit.ts";

let trusted: Authority;
beforeAll(async () => {
  trusted = await authority("syslog servers");
});

let dir: string;
let seen: Recorder;
let parts: AsyncDisposableStack;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-syslog-"));
  seen = recorder();
  parts = new AsyncDisposableStack();
  parts.defer(() => rmSync(dir, { recursive: true, force: true }));
});
afterEach(() => parts.disposeAsync());

const open = async (port: number, trust = trusted): Promise<Syslog> =>
  parts.use(
    await openSyslog(
      { km: "km-a", server: { host: "127.0.0.1", port, trust: trust.pem, own: undefined }, dir, maxBytes: 1 << 20 },
      { clock: systemClock, log: seen.log, meter: seen.meter, fraction: () => 0 },
    ),
  );

const server = async (port = 0): Promise<SyslogEnd> => parts.use(await syslogServer(trusted, port));

/** A port on which nobody listens now. */
async function quietPort(): Promise<number> {
  await using once = await syslogServer(trusted);
  return once.port;
}

const line = (number: number, level = "info"): string =>
  `${JSON.stringify({ level, time: "2026-01-01T00:00:00.000Z", message: "something", number })}\n`;
const numbersIn = (messages: readonly string[]): number[] =>
  messages.flatMap((message) => (/"number":(\d+)/.exec(message)?.slice(1) ?? []).map(Number));
const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, at) => from + at);

describe("a message", () => {
  const format = new SyslogFormat("km-a", 17, "host.example");
  const text = (frame: Buffer): string => frame.toString("utf8").replace(/^\d+ /, "");

  test.each([
    ["error", 131],
    ["warn", 132],
    ["info", 134],
    ["debug", 135],
  ])("RFC 5424 6: of a log line at %s has priority %i, and the line as it is", (level, priority) => {
    const head = `<${priority}>1 2026-01-01T00:00:00.000Z host.example qkm/km-a 17 log - `;
    expect(text(format.ofLog(line(1, level)))).toBe(head + line(1, level).trimEnd());
  });

  test("RFC 5424 6.2.1: of an audit event is of facility 13, with its kind; so is the seal behind it", () => {
    const event = '{"at":"2026-01-01T00:00:00.000Z","kind":"keys_supplied","app":"app-a1"}';
    const head = "<109>1 2026-01-01T00:00:00.000Z host.example qkm/km-a 17";
    expect(text(format.ofAudit(event, 0))).toBe(`${head} keys_supplied - ${event}`);
    expect(text(format.ofAudit('{"seal":7}', Date.UTC(2026, 0, 1)))).toBe(`${head} seal - {"seal":7}`);
  });

  test("RFC 5425 4.3: is framed by its length in bytes, and cut where it is longer than receivers take", () => {
    const frame = format.ofLog(line(1).replace("something", "ü".repeat(9000)));
    expect(wholeFrames(frame)).toEqual({ end: frame.length, count: 1 });
    expect(frame.length).toBeLessThan(8192);
  });

  test("wholeFrames finds the same ends, wherever the bytes are cut", () => {
    const frames = upTo(4).map((number) => format.ofLog(line(number)));
    const all = Buffer.concat(frames);
    for (let cut = 0; cut <= all.length; cut++) {
      const { end, count } = wholeFrames(all.subarray(0, cut));
      expect(end).toBe(frames.slice(0, count).reduce((sum, frame) => sum + frame.length, 0));
      expect(end).toBeLessThanOrEqual(cut);
    }
  });
});

test("lines and sealed events arrive in their order", async () => {
  const end = await server();
  const syslog = await open(end.port);
  for (const number of upTo(100)) syslog.line(line(number));
  syslog.audited(Buffer.from('{"at":"2026-01-01T00:00:00.000Z","kind":"started","km":"km-a"}\n{"seal":1}\n'));
  await until("all have come", () => end.messages.length === 102);
  expect(numbersIn(end.messages)).toEqual(upTo(100));
  expect(end.messages.slice(100).map((message) => message.split(" ")[5])).toEqual(["started", "seal"]);
  await until("they are counted", () => seen.count("syslog_sent") === 102);
});

test("lines that come one by one leave nothing behind on the connection", async () => {
  const end = await server();
  const syslog = await open(end.port);
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  for (const number of upTo(20)) {
    syslog.line(line(number));
    await until(`line ${number} has come`, () => end.messages.length === number + 1);
  }
  await syslog[Symbol.asyncDispose]();
  process.off("warning", note);
  expect(warnings).toEqual([]);
});

test("the server of these tests ends connections in their handshake, too", async () => {
  const end = await server();
  const dialling = connect(end.port, "127.0.0.1");
  const closed = once(dialling, "close");
  await once(dialling, "connect");
  await end[Symbol.asyncDispose]();
  await closed;
});

test("what is written while the server is away is kept and sent when it is back, and the log says both once", async () => {
  const port = await quietPort();
  const syslog = await open(port);
  for (const number of upTo(50)) syslog.line(line(number));
  const says = (part: string) => seen.lines.filter(({ sentence }) => sentence.includes(part)).length;
  await until("it is away", () => says("is away") === 1);
  const end = await server(port);
  await until("all have come", () => end.messages.length === 50);
  expect(numbersIn(end.messages)).toEqual(upTo(50));
  expect([says("is away"), says("is back")]).toEqual([1, 1]);
  expect(seen.count("syslog_lost")).toBe(0);
});

test("what an ended process has left is sent by the next one", async () => {
  const port = await quietPort();
  {
    const first = await open(port);
    for (const number of upTo(50)) first.line(line(number));
    await first[Symbol.asyncDispose]();
  }
  const second = await open(port);
  for (const number of upTo(50, 50)) second.line(line(number));
  const end = await server(port);
  await until("all have come", () => end.messages.length === 100);
  expect(numbersIn(end.messages)).toEqual(upTo(100));
});

test("half a frame that a killed process has left is not sent, and nothing behind it is lost", async () => {
  const whole = new SyslogFormat("km-a", 17).ofLog(line(0));
  writeFileSync(join(dir, "000007.frames"), Buffer.concat([whole, whole.subarray(0, 20)]));
  const end = await server();
  const syslog = await open(end.port);
  syslog.line(line(1));
  await until("both have come", () => end.messages.length === 2);
  expect(numbersIn(end.messages)).toEqual([0, 1]);
});

test("what was sent is not sent again after an orderly stop", async () => {
  const end = await server();
  const first = await open(end.port);
  for (const number of upTo(20)) first.line(line(number));
  await until("all have come", () => seen.count("syslog_sent") === 20);
  await first[Symbol.asyncDispose]();
  const second = await open(end.port);
  second.line(line(20));
  await until("the new one has come", () => end.messages.length >= 21);
  expect(numbersIn(end.messages)).toEqual(upTo(21));
});

test("more than the bound loses the oldest, counts each of them, and leaves the disk as it is", async () => {
  const port = await quietPort();
  const syslog = await open(port);
  const long = "x".repeat(1000);
  let written = 0;
  // As fast as the disk takes it: what waits for it has a bound of its own.
  for (let round = 0; round < 30; round++) {
    for (let at = 0; at < 100; at++) syslog.line(line(written++).replace("something", long));
    await until("they are on the disk", () => waiting(syslog) <= 1 << 20);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const sizes = () => readdirSync(dir).map((name) => statSync(join(dir, name)).size);
  await until("the bound holds", () => sizes().reduce((sum, size) => sum + size, 0) <= 1 << 20);
  const end = await server(port);
  await until("each has come or is counted", () => end.messages.length + seen.count("syslog_lost") >= written);
  expect(end.messages.length + seen.count("syslog_lost")).toBe(written);
  expect(end.messages.length).toBeGreaterThan(500);
  const numbers = numbersIn(end.messages);
  expect(numbers.at(-1)).toBe(written - 1);
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
});

function waiting({ gauges }: Syslog): number {
  let bytes = 0;
  gauges((name, value) => {
    if (name === "syslog_waiting_bytes") bytes = value;
  });
  return bytes;
}

test("a disk that fails loses what it did not take, counted; later lines go on", async () => {
  const end = await server();
  const syslog = await open(end.port);
  rmSync(dir, { recursive: true });
  syslog.line(line(0));
  await until("the loss is counted", () => seen.count("syslog_lost", { reason: "disk" }) === 1);
  mkdirSync(dir);
  syslog.line(line(1));
  await until("the next has come", () => end.messages.length === 1);
  expect(numbersIn(end.messages)).toEqual([1]);
});

test("a server that another authority signed gets nothing", async () => {
  const end = await server();
  const syslog = await open(end.port, await authority("somebody else"));
  syslog.line(line(0));
  await until("it is away", () => seen.lines.some(({ sentence }) => sentence.includes("is away")));
  expect(end.messages).toEqual([]);
});
