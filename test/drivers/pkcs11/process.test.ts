// The process of a token: what hangs in it is given up in time, and the next opening starts anew.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openToken } from "../../../drivers/pkcs11/process/open.ts";
import { borrowRegion, returnRegion } from "../../../drivers/pkcs11/process/shared-memory.ts";
import type { Token } from "../../../src/device/token.ts";
import { jobOf } from "../../contracts/token.ts";
import { HangingSofthsm } from "../../support/hanging-softhsm.ts";
import { type KeptLog, keptLog, makeToken, type TestToken } from "../../support/softhsm.ts";
import { tokenProcessesOf } from "../../support/token-process.ts";

const GONE = { code: "HSM_UNAVAILABLE" };

let made: TestToken;
let log: KeptLog;
beforeAll(async () => {
  made = await makeToken();
});
afterEach(() => expect(tokenProcessesOf(process.pid)).toEqual([]));
afterAll(() => made.dispose());

function open(deadlineMs: number): Promise<Token> {
  log = keptLog();
  return openToken({ ...made, softhsmConf: made.conf, deadlineMs, allowUnlocked: false }, log);
}

const onlyChild = (): number => {
  const [pid, ...others] = tokenProcessesOf(process.pid);
  if (pid === undefined || others.length > 0) throw new Error("there is not one process of a token");
  return pid;
};

describe("a token that hangs", () => {
  test("a call that is not answered in time is HSM_UNAVAILABLE, and so are all that follow; the loop stays free", async () => {
    await using token = await open(3_000);
    const kek = await token.generate("hangs");
    const job = jobOf(32_768);
    await kek.seal(job);
    process.kill(onlyChild(), "SIGSTOP");
    const began = performance.now();
    let turns = 0;
    const turning = setInterval(() => turns++, 5);
    const calls = [kek.seal(job), kek.open({ ...job, plain: Buffer.alloc(32_784) }), token.check(), token.find("")];
    const outcomes = await Promise.allSettled(calls);
    clearInterval(turning);
    expect(outcomes.map((one) => one.status === "rejected" && one.reason.code)).toEqual(calls.map(() => GONE.code));
    expect(performance.now() - began).toBeGreaterThanOrEqual(3_000);
    expect(turns).toBeGreaterThan(5);
    await expect(kek.seal(job)).rejects.toMatchObject(GONE);
    expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });

  test("its process is ended, and a new opening finds all that the token holds", async () => {
    await using hung = await open(1_000);
    const kek = await hung.generate("kept");
    const job = jobOf(100);
    await kek.seal(job);
    const pid = onlyChild();
    process.kill(pid, "SIGSTOP");
    await expect(hung.check()).rejects.toMatchObject(GONE);
    await hung[Symbol.asyncDispose]();
    expect(tokenProcessesOf(process.pid)).toEqual([]);
    await using token = await open(5_000);
    const [found] = await token.find("kept");
    const plain = Buffer.alloc(116);
    await found?.open({ ...job, plain });
    expect(plain.subarray(0, 100)).toEqual(job.plain);
  });

  test("more jobs than places wait for their turn, and are turned away with the rest", async () => {
    await using token = await open(1_000);
    const kek = await token.generate("crowd");
    process.kill(onlyChild(), "SIGSTOP");
    const jobs = Array.from({ length: 20 }, () => kek.seal(jobOf(64)));
    const outcomes = await Promise.allSettled(jobs);
    expect(outcomes.map(({ status }) => status)).toEqual(jobs.map(() => "rejected"));
  });

  test("closing gives it a moment, and does not wait for the deadline of its calls", async () => {
    const token = await open(60_000);
    process.kill(onlyChild(), "SIGSTOP");
    const began = performance.now();
    await token[Symbol.asyncDispose]();
    expect(performance.now() - began).toBeLessThan(30_000);
  });

  test("a token that hangs while it is opened is given up too", async () => {
    // A module that waits for ever while it is loaded: reading its configuration never ends.
    const pipe = join(dirname(made.conf), "pipe.conf");
    execFileSync("mkfifo", [pipe]);
    const opening = openToken({ ...made, softhsmConf: pipe, deadlineMs: 250, allowUnlocked: false }, keptLog());
    await expect(opening).rejects.toMatchObject(GONE);
  });

  test("a C_Login that hangs is given up, is no wrong PIN, and the next opening logs in", async () => {
    const token = new HangingSofthsm(join(dirname(made.conf), "tokens"));
    const logins = token.hangAtLogin(made.pinFile);
    const opening = openToken({ ...made, softhsmConf: made.conf, deadlineMs: 1_000, allowUnlocked: false }, keptLog());
    const refused = expect(opening).rejects.toMatchObject(GONE);
    await logins;
    await refused;
    token.goOn();
    await using again = await open(10_000);
    await again.check();
  });

  test("a C_Login that hangs ends at once with whoever waits for it", async () => {
    const token = new HangingSofthsm(join(dirname(made.conf), "tokens"));
    const logins = token.hangAtLogin(made.pinFile);
    const stop = new AbortController();
    const options = { ...made, softhsmConf: made.conf, deadlineMs: 600_000, allowUnlocked: false };
    const opening = openToken(options, keptLog(), stop.signal);
    const ended = expect(opening).rejects.toMatchObject({ code: "STOPPING" });
    await logins;
    stop.abort();
    await ended;
    token.goOn();
  });
});

describe("a module that ends its process", () => {
  test("the token is gone at once, and the next opening works", async () => {
    await using token = await open(60_000);
    process.kill(onlyChild(), "SIGSEGV");
    await expect(token.check()).rejects.toMatchObject(GONE);
    await token[Symbol.asyncDispose]();
    await using again = await open(5_000);
    await again.check();
  });
});

describe("the shared memory", () => {
  test("is locked, is not dumped, and is zero after each job", async () => {
    await using token = await open(5_000);
    const kek = await token.generate("zero");
    const job = jobOf(1_000);
    await kek.seal(job);
    await kek.open({ ...job, plain: Buffer.alloc(1_016) });
    const maps = [process.pid, onlyChild()].map((pid) => readFileSync(`/proc/${pid}/smaps`, "utf8"));
    for (const map of maps) {
      const flags = map.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).find((part) => part.includes("/memfd:qkm-token"));
      expect(flags).toMatch(/^VmFlags:(?=.* lo\b)(?=.* dd\b)/m);
    }
    // The second region is fresh; the first is in use, and its places are zero between jobs.
    const fresh = borrowRegion({ allowUnlocked: false });
    for (const { plain } of fresh.places) expect(plain.every((byte) => byte === 0)).toBe(true);
    returnRegion(fresh);
  });

  test("jobs longer than a place are refused before anything is copied", async () => {
    await using token = await open(5_000);
    const kek = await token.generate("long");
    await expect(kek.seal(jobOf(40_000))).rejects.toBeInstanceOf(RangeError);
    await kek.seal(jobOf(32_768));
  });
});
