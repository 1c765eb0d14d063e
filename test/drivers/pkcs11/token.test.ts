// The PKCS#11 driver on a real SoftHSM token: the contract, PINs, absence and return.

import { randomUUID } from "node:crypto";
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pkcs11js from "pkcs11js";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { borrowLibrary } from "../../../drivers/pkcs11/library.ts";
import { openToken } from "../../../drivers/pkcs11/process/open.ts";
import { findToken } from "../../../drivers/pkcs11/slot.ts";
import type { Pkcs11Options } from "../../../drivers/pkcs11/token.ts";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { secretOf } from "../../../src/core/memory/secret.ts";
import type { Kek, Token } from "../../../src/device/token.ts";
import { exerciseToken, jobOf } from "../../contracts/token.ts";
import type { KeptLog, TestToken } from "../../support/softhsm.ts";
import { keptLog, makeToken } from "../../support/softhsm.ts";

let made: TestToken;
let log: KeptLog = keptLog();

const open = (options: Partial<Pkcs11Options> = {}): Promise<Token> =>
  openPkcs11Token(
    { module: made.module, label: made.label, pinFile: made.pinFile, softhsmConf: made.conf, ...options },
    log,
  );

/** As a token is that has AES-CBC and HMAC alone; in a process of its own, since the configuration is another. */
function openWithoutGcm(): Promise<Token> {
  const softhsmConf = join(dirname(made.conf), "without-gcm.conf");
  const mechanisms = "CKM_AES_KEY_GEN,CKM_AES_CBC,CKM_GENERIC_SECRET_KEY_GEN,CKM_SHA256_HMAC";
  writeFileSync(softhsmConf, `${readFileSync(made.conf, "utf8")}slots.mechanisms = ${mechanisms}\n`);
  return openToken({ ...made, softhsmConf, deadlineMs: 5_000, allowUnlocked: false }, log);
}

const openInProcess = (): Promise<Token> =>
  openToken({ ...made, softhsmConf: made.conf, deadlineMs: 5_000, allowUnlocked: false }, log);

beforeAll(async () => {
  made = await makeToken();
});
beforeEach(() => {
  log = keptLog();
});
afterAll(() => made.dispose());

const GONE = { code: "HSM_UNAVAILABLE" };

exerciseToken("SoftHSM, called on the event loop,", () => open({ synchronousBelowMs: 1000 }));
exerciseToken("SoftHSM, called beside the event loop,", () => open({ synchronousBelowMs: 0 }));
exerciseToken("SoftHSM, in a process of its own,", () => openInProcess());
exerciseToken("SoftHSM, without AES-GCM,", () => openWithoutGcm(), { wholeBlocks: true });
exerciseToken("SoftHSM, on a single session,", () => open({ sessions: 1, synchronousBelowMs: 0 }));

describe("opening", () => {
  test("it tells what the token is, what it suggests and how fast it seals", async () => {
    await using token = await open({ directUpToMs: 1000 });
    expect(token.info).toMatchObject({ label: made.label, model: "SoftHSM v2", software: true, suggests: "direct" });
    expect(token.info.serialNumber).toMatch(/^[0-9a-f]{16}$/);
    const [line] = log.lines;
    expect(line?.fields).toMatchObject({
      event: "token_opened",
      label: made.label,
      seal32KiBMicros: expect.any(Number),
    });
  });

  test("a token that measures slower than the limit suggests envelope", async () => {
    await using token = await open({ directUpToMs: 0 });
    expect(token.info.suggests).toBe("envelope");
  });

  test("tokens are told apart by label, wherever their slots are", async () => {
    await using _first = await open();
    const second = await makeToken(dirname(made.conf), "qkm second");
    await using token = await open(second);
    await token.generate("only-in-the-second");
    expect(token.info.label).toBe("qkm second");
    expect(await _first.find("only-in-the-second")).toEqual([]);
  });

  test("two users of one token share module and login, and the one that closes leaves the other's alone", async () => {
    await using staying = await open();
    const kek = await staying.generate(`shared-${randomUUID()}`);
    const leaving = await open();
    expect(await leaving.find(kek.label)).toHaveLength(1);
    await leaving[Symbol.asyncDispose]();
    await kek.seal(jobOf(100));
    await staying.check();
  });

  test.each([
    ["the module", { module: "/nonexistent/module.so" }, "/nonexistent/module.so"],
    ["a token of that label", { label: "nobody" }, "no token labelled nobody"],
    ["the PIN file", { pinFile: "/nonexistent/pin" }, "/nonexistent/pin"],
    ["the configuration", { softhsmConf: "/nonexistent/conf" }, "does not start"],
  ])("it says what is missing: %s", async (_what, options, sentence) => {
    await expect(open(options)).rejects.toMatchObject({ ...GONE, message: expect.stringContaining(sentence) });
    await using token = await open();
    await token.check();
  });

  test("a file that is no PKCS#11 module is refused", async () => {
    const module = made.conf;
    await expect(open({ module })).rejects.toMatchObject({ ...GONE, message: expect.stringContaining(module) });
  });

  test("a module in use with another SoftHSM configuration is refused, not confused", async () => {
    await using _token = await open();
    await expect(open({ softhsmConf: "/other/conf" })).rejects.toMatchObject(GONE);
  });

  test("two tokens of one label are refused", async () => {
    const twins = await makeToken(undefined, "twin");
    await makeTwin(twins);
    await expect(open({ ...twins, softhsmConf: twins.conf })).rejects.toMatchObject({
      ...GONE,
      message: expect.stringContaining("labels must differ"),
    });
    await twins.dispose();
  });
});

test("a node's folder that was copied does not use the token of the first", async () => {
  const copy = mkdtempSync(join(tmpdir(), "qkm-copy-"));
  try {
    cpSync(dirname(made.conf), copy, { recursive: true });
    const softhsmConf = join(copy, "softhsm2.conf");
    const fault = { code: "TOKEN_UNSUITABLE", message: expect.stringContaining(dirname(made.conf)) };
    await expect(open({ softhsmConf })).rejects.toMatchObject(fault);
    writeFileSync(softhsmConf, `directories.tokendir = ${join(copy, "tokens")}\nobjectstore.backend = file\n`);
    await using token = await open({ softhsmConf });
    await token.check();
  } finally {
    rmSync(copy, { recursive: true });
  }
});

describe("the PIN", () => {
  const wrongPin = () => {
    const path = join(dirname(made.conf), "wrong.pin");
    writeFileSync(path, "not the PIN\n", { mode: 0o600 });
    return path;
  };
  const userFlags = () => {
    const lease = borrowLibrary(made.module, made.conf);
    const { flags } = findToken(lease.pkcs11, made.label);
    lease.release();
    return flags;
  };

  test("a wrong PIN is a WRONG_PIN, tried exactly once, and the module is free again", async () => {
    const lease = borrowLibrary(made.module, made.conf);
    const { pkcs11 } = lease;
    const logins: number[] = [];
    const login = pkcs11.C_Login;
    pkcs11.C_Login = (session, user, pin) => {
      logins.push(user);
      login.call(pkcs11, session, user, pin);
    };
    expect(userFlags() & pkcs11js.CKF_USER_PIN_COUNT_LOW).toBe(0);
    const outcome = await open({ pinFile: wrongPin() }).catch((error: unknown) => error);
    pkcs11.C_Login = login;
    lease.release();
    expect(outcome).toMatchObject({ code: "WRONG_PIN", message: expect.stringContaining("CKR_PIN_INCORRECT") });
    expect(logins).toEqual([pkcs11js.CKU_USER]);
    expect(userFlags() & pkcs11js.CKF_USER_PIN_COUNT_LOW).not.toBe(0);
    await using token = await open();
    await token.check();
    expect(userFlags() & pkcs11js.CKF_USER_PIN_COUNT_LOW).toBe(0);
  });

  test("no error and no log line has the PIN", async () => {
    const thrown = await open({ pinFile: wrongPin() }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(Error);
    expect(JSON.stringify([String(thrown), (thrown as Error).stack, log.lines])).not.toContain("not the PIN");
  });

  test("a PIN file that everybody may read is refused before the PIN is tried", async () => {
    const path = wrongPin();
    chmodSync(path, 0o644);
    await expect(open({ pinFile: path })).rejects.toMatchObject({ ...GONE, message: expect.stringContaining("chmod") });
    chmodSync(path, 0o600);
  });
});

describe("a token that goes away and comes back", () => {
  let token: Token;
  let kek: Kek;
  beforeEach(async () => {
    token = await open();
    kek = await token.generate(`kek-${randomUUID()}`);
  });
  afterEach(() => token[Symbol.asyncDispose]());

  const calls: Record<string, (job: ReturnType<typeof jobOf>) => Promise<unknown>> = {
    check: () => token.check(),
    seal: (job) => kek.seal(job),
    open: (job) => kek.open({ ...job, plain: Buffer.alloc(job.sealed.length) }),
    find: () => token.find(""),
    generate: () => token.generate("lost"),
    random: () => token.random(secretOf(Buffer.alloc(32))),
    "counter read": () => token.counter("epochs"),
    "counter set": () => token.counter("epochs", 4),
    destroy: () => kek.destroy(),
  };

  test.each(Object.keys(calls))(
    "%s notices by itself, all calls reject from then on, a new opening works",
    async (name) => {
      const job = jobOf(4096);
      await kek.seal(job);
      await token.counter("epochs", 3);
      made.vanish();
      try {
        await expect(calls[name]?.(job)).rejects.toMatchObject(GONE);
        expect(log.lines.filter(({ level }) => level === "warn")).toMatchObject([{ fields: { event: "token_gone" } }]);
        await expect(open()).rejects.toMatchObject(GONE);
      } finally {
        made.restore();
      }
      for (const call of Object.values(calls)) await expect(call(job)).rejects.toMatchObject(GONE);

      // The dead one was not disposed: it has let go of the module by itself.
      await using back = await open();
      const [found] = await back.find(kek.label);
      const plain = Buffer.alloc(4112);
      await found?.open({ ...job, plain });
      expect(plain.subarray(0, 4096).equals(job.plain)).toBe(true);
      expect(await back.counter("epochs")).toBe(3);
      await found?.destroy();
    },
  );

  test("jobs that wait for a session when it goes away are all turned away", async () => {
    await token[Symbol.asyncDispose]();
    await using slow = await open({ synchronousBelowMs: 0, sessions: 2 });
    const [found] = await slow.find(kek.label);
    const before = Array.from({ length: 20 }, () => found?.seal(jobOf(32_768)));
    made.vanish();
    const after = Array.from({ length: 20 }, () => found?.seal(jobOf(32_768)));
    const outcomes = await Promise.allSettled([...before, ...after]);
    made.restore();
    for (const outcome of outcomes.slice(20)) expect(outcome).toMatchObject({ status: "rejected", reason: GONE });
  });

  test("a logout behind its back ends it, since its login was tried once", async () => {
    const lease = borrowLibrary(made.module, made.conf);
    const { slot } = findToken(lease.pkcs11, made.label);
    const session = lease.pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION);
    lease.pkcs11.C_Logout(session);
    lease.pkcs11.C_CloseSession(session);
    lease.release();
    await expect(kek.seal(jobOf(10))).rejects.toMatchObject(GONE);
    await expect(token.check()).rejects.toMatchObject(GONE);
    await using back = await open();
    await back.check();
  });
});

test("what it makes is on the disk in the token's own directory, one file per object", async () => {
  await using token = await open();
  const files = () =>
    readdirSync(join(dirname(made.conf), "tokens"))
      .filter((name) => name.replaceAll("-", "").endsWith(token.info.serialNumber))
      .flatMap((name) => readdirSync(join(dirname(made.conf), "tokens", name)))
      .filter((name) => name.endsWith(".object")).length;
  const before = files();
  const kek = await token.generate("one-file");
  expect(files()).toBe(before + 1);
  await kek.destroy();
  expect(files()).toBe(before);
});

/** Makes a second token of the same label, as only the module's own calls can. */
async function makeTwin(twin: TestToken): Promise<void> {
  const lease = borrowLibrary(twin.module, twin.conf);
  const empty = lease.pkcs11
    .C_GetSlotList(true)
    .find((slot) => (lease.pkcs11.C_GetTokenInfo(slot).flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0);
  if (empty === undefined) throw new Error("no empty slot");
  lease.pkcs11.C_InitToken(empty, "12345678", twin.label.padEnd(32));
  lease.release();
}
