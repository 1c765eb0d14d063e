// Tests of src/control/log.ts: lines that people and machines read, with no key byte in them.

import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeLog, openLogFile } from "../../src/control/log.ts";
import { Fault } from "../../src/core/fault.ts";
import { secretOf } from "../../src/core/memory/secret.ts";
import { until } from "../support/until.ts";

/** Bytes read from a pipe now. */
function readSome(descriptor: number): number {
  try {
    return readSync(descriptor, Buffer.alloc(65_536));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw thrown;
  }
}

function logged(write: (log: ReturnType<typeof makeLog>) => void, level: "debug" | "info" = "info") {
  const lines: string[] = [];
  write(makeLog(level, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("a line", () => {
  it("has level, ISO time, fields and the sentence", () => {
    const [line] = logged((log) => log.error({ alarm: "restored", peer: "km-b" }, "the store was a restored copy"));
    expect(Object.keys(line ?? {})).toEqual(["level", "time", "alarm", "peer", "message"]);
    expect(line).toMatchObject({ level: "error", alarm: "restored", message: "the store was a restored copy" });
    expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it("is written from its level on", () => {
    const write = (log: ReturnType<typeof makeLog>) => {
      log.debug({}, "d");
      log.info({}, "i");
      log.warn({}, "w");
    };
    expect(logged(write).map((line) => line.message)).toEqual(["i", "w"]);
    expect(logged(write, "debug").map((line) => line.message)).toEqual(["d", "i", "w"]);
  });

  it("prints a secret as [secret] and bytes of any kind as [bytes], however deep", () => {
    const bytes = new Uint8Array([0xde, 0xad, 0xbe, 0xef]);
    const fields = {
      key: secretOf(bytes),
      raw: bytes,
      node: { list: [Buffer.from(bytes), { buffer: bytes.buffer }], secret: secretOf(bytes) },
      words: new Uint32Array(1),
    };
    const [line] = logged((log) => log.info(fields, "x"));
    expect(line).toMatchObject({
      key: "[secret]",
      raw: "[bytes]",
      node: { list: ["[bytes]", { buffer: "[bytes]" }], secret: "[secret]" },
      words: "[bytes]",
    });
    expect(JSON.stringify(line)).not.toMatch(/222|173|dead/);
  });

  it("tells an error with its code and causes", () => {
    const err = new Fault("INTERNAL", { cause: new TypeError("inner") });
    const [line] = logged((log) => log.warn({ err, other: new Error("outer") }, "x"));
    expect(line).toMatchObject({
      err: { type: "Fault", code: "INTERNAL", cause: { type: "TypeError", message: "inner" } },
      other: { message: "outer" },
    });
  });

  it("survives cycles and big integers", () => {
    const fields: Record<string, unknown> = { big: 2n ** 70n };
    fields.self = fields;
    const [line] = logged((log) => log.info(fields, "x"));
    expect(line).toMatchObject({ big: "1180591620717411303424" });
  });
});

describe("a log file", () => {
  it("has every line once it is disposed", () => {
    const dir = mkdtempSync(join(tmpdir(), "qkm-log-"));
    const path = join(dir, "log");
    const descriptor = openSync(path, "a");
    const file = openLogFile(descriptor);
    const log = makeLog("info", file);
    for (let i = 0; i < 500; i++) log.info({ i }, "counted");
    file[Symbol.dispose]();
    const lines = readFileSync(path, "utf8").trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual([...Array(500).keys()]);
    expect(file.dropped).toBe(0);
    closeSync(descriptor);
    rmSync(dir, { recursive: true });
  });

  it("writes in order while the process goes on", async () => {
    const dir = mkdtempSync(join(tmpdir(), "qkm-log-"));
    const path = join(dir, "log");
    const descriptor = openSync(path, "a");
    const file = openLogFile(descriptor);
    for (let i = 0; i < 50; i++) {
      file.write(`${i}\n`);
      if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until("all is written", () => readFileSync(path, "utf8") === `${[...Array(50).keys()].join("\n")}\n`);
    file[Symbol.dispose]();
    expect(file.dropped).toBe(0);
    closeSync(descriptor);
    rmSync(dir, { recursive: true });
  });

  it("keeps what a full pipe does not take, up to its bound, and goes on when somebody reads", async () => {
    const dir = mkdtempSync(join(tmpdir(), "qkm-log-"));
    const path = join(dir, "pipe");
    execFileSync("mkfifo", [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    const file = openLogFile(descriptor);
    const line = `${"y".repeat(999)}\n`;
    for (let i = 0; i < 1200; i++) file.write(line);
    const dropped = file.dropped;
    expect(dropped).toBeGreaterThan(100);
    let read = 0;
    await until("all that was kept is read", () => {
      read += readSome(reader);
      return read === (1200 - dropped) * line.length;
    });
    expect(file.dropped).toBe(dropped);
    file[Symbol.dispose]();
    closeSync(descriptor);
    closeSync(reader);
    rmSync(dir, { recursive: true });
  });

  it("drops and counts what a full disk does not take, without an error", async () => {
    const descriptor = openSync("/dev/full", "w");
    const file = openLogFile(descriptor);
    const log = makeLog("info", file);
    for (let i = 0; i < 10; i++) log.info({ i }, "lost");
    await until("they are counted", () => file.dropped === 10);
    log.info({}, "lost at the end");
    file[Symbol.dispose]();
    expect(file.dropped).toBe(11);
    closeSync(descriptor);
  });
});
