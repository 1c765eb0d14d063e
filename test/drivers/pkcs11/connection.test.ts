// What a job's failure means: the record is broken, the token refuses, or the token is gone.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Connection } from "../../../drivers/pkcs11/connection.ts";
import { connect } from "../../../drivers/pkcs11/connection.ts";
import type { Lease } from "../../../drivers/pkcs11/library.ts";
import { borrowLibrary } from "../../../drivers/pkcs11/library.ts";
import { SealBroken } from "../../../src/device/token.ts";
import type { KeptLog, TestToken } from "../../support/softhsm.ts";
import { keptLog, makeToken } from "../../support/softhsm.ts";

let token: TestToken;
let lease: Lease;
let log: KeptLog;
let line: Connection;

beforeAll(async () => {
  token = await makeToken();
});
beforeEach(() => {
  log = keptLog();
  lease = borrowLibrary(token.module, token.conf);
  line = connect(lease, { ...token, sessions: 2 }, log);
});
afterEach(() => line.close());
afterAll(() => token.dispose());

const throwing = (thrown: unknown) => () => {
  throw thrown;
};
const broken = (why: string) => new SealBroken("not what was sealed", { cause: new Error(why) });
const GONE = { code: "HSM_UNAVAILABLE" };

test("a record that the token refuses is broken while the token is well", async () => {
  await expect(line.run(throwing(broken("CKR_GENERAL_ERROR:5")))).rejects.toBeInstanceOf(SealBroken);
  await expect(line.run(throwing(broken("CKR_ENCRYPTED_DATA_INVALID:64")))).rejects.toBeInstanceOf(SealBroken);
  expect(await line.run(() => "well")).toBe("well");
});

test("the same refusal of a token that is gone says nothing of the record", async () => {
  token.vanish();
  const outcome = await line.run(throwing(broken("CKR_GENERAL_ERROR:5"))).catch((thrown: unknown) => thrown);
  token.restore();
  expect(outcome).toMatchObject(GONE);
  await expect(line.run(() => 1)).rejects.toMatchObject(GONE);
});

test.each(["CKR_DEVICE_ERROR:48", "CKR_HOST_MEMORY:2", "CKR_KEY_HANDLE_INVALID:96"])(
  "%s says nothing of the record, and does not end a token that is well",
  async (why) => {
    const told = { ...GONE, message: expect.stringContaining(why.split(":")[0] ?? "") };
    await expect(line.run(throwing(broken(why)))).rejects.toMatchObject(told);
    await expect(line.run(throwing(new Error(why)))).rejects.toMatchObject(told);
    expect(await line.run(() => "well")).toBe("well");
    expect(log.lines).toEqual([]);
  },
);

test.each(["CKR_DEVICE_REMOVED:50", "CKR_SESSION_HANDLE_INVALID:179", "CKR_USER_NOT_LOGGED_IN:257"])(
  "%s ends it",
  async (why) => {
    await expect(line.run(throwing(new Error(why)))).rejects.toMatchObject(GONE);
    await expect(line.run(() => 1)).rejects.toMatchObject(GONE);
    expect(log.lines).toMatchObject([{ level: "warn", fields: { event: "token_gone" } }]);
  },
);

test("what is no refusal of the token passes as it is", async () => {
  const defect = new TypeError("a defect");
  await expect(line.run(throwing(defect))).rejects.toBe(defect);
  expect(await line.run(() => "well")).toBe("well");
});

test("a session whose job failed is not used again", async () => {
  const seen: string[] = [];
  const keep = (session: Buffer) => void seen.push(session.toString("hex"));
  await line.run(keep);
  await line.run(keep);
  await line
    .run((session) => {
      keep(session);
      throw new Error("failed");
    })
    .catch(() => {});
  await line.run(keep);
  expect(seen[0]).toBe(seen[1]);
  expect(seen[2]).toBe(seen[1]);
  expect(seen[3]).not.toBe(seen[2]);
});

test("closing does not wait for ever for a call that does not return, and keeps the module for it", async () => {
  vi.useFakeTimers();
  const stuck = Promise.withResolvers<void>();
  const running = line.run(() => stuck.promise);
  await vi.advanceTimersByTimeAsync(0);
  const closing = line.close();
  await vi.advanceTimersByTimeAsync(5_000);
  await closing;
  vi.useRealTimers();
  expect(log.lines).toMatchObject([{ level: "error" }]);
  expect(lease.pkcs11.C_GetSlotList(true).length).toBeGreaterThan(0);
  stuck.resolve();
  await running;
  lease.release();
});
