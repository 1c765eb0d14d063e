// The session pool on real sessions: exclusive, in turn, and never one that was left half-open.

import type { GcmParams, Handle } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { seal } from "../../../drivers/pkcs11/ciphers/gcm.ts";
import { generateKek } from "../../../drivers/pkcs11/kek.ts";
import { reasonOf } from "../../../drivers/pkcs11/refusal.ts";
import { SessionPool } from "../../../drivers/pkcs11/sessions.ts";
import { openSession } from "../../../drivers/pkcs11/slot.ts";
import { jobOf } from "../../contracts/token.ts";
import type { LoggedIn } from "./module.ts";
import { logInToModule, thrownBy } from "./module.ts";

let module: LoggedIn;
let kek: Handle;
const ended: Handle[] = [];

beforeAll(async () => {
  module = await logInToModule();
  kek = (await generateKek(module.forge, "kek", "gcm")).key;
});
afterAll(() => module.dispose());

const pool = (most: number): SessionPool =>
  new SessionPool({
    open: () => openSession(module.pkcs11, module.slot),
    close(session) {
      ended.push(session);
      module.pkcs11.C_CloseSession(session);
    },
    most,
  });

const bench = (session: Handle) => ({ pkcs11: module.pkcs11, session, key: kek, synchronous: true });

test("a session that a too small buffer left busy is closed and replaced", async () => {
  const { pkcs11 } = module;
  const sessions = pool(1);
  const stuck = await sessions.take();
  const job = jobOf(100);
  await seal(bench(stuck), job);
  const parameter: GcmParams = {
    type: pkcs11js.CK_PARAMS_AES_GCM_v240,
    iv: job.iv,
    ivBits: 96,
    aad: job.aad,
    tagBits: 128,
  };
  const init = () => pkcs11.C_DecryptInit(stuck, { mechanism: pkcs11js.CKM_AES_GCM, parameter }, kek);
  init();
  const small = thrownBy(() => pkcs11.C_Decrypt(stuck, job.sealed, Buffer.alloc(100)));
  expect(reasonOf(small)).toBe("CKR_BUFFER_TOO_SMALL");
  expect(reasonOf(thrownBy(init))).toBe("CKR_OPERATION_ACTIVE");

  sessions.discard(stuck);
  const fresh = await sessions.take();
  expect(fresh.equals(stuck)).toBe(false);
  expect(ended).toContainEqual(stuck);
  await seal(bench(fresh), jobOf(100));
  sessions.give(fresh);
  await sessions.close(new Error("closed"));
});

test("no more sessions than allowed, each lent to one at a time, those who wait served in turn", async () => {
  const sessions = pool(2);
  const order: number[] = [];
  const [a, b] = [await sessions.take(), await sessions.take()];
  expect(a.equals(b)).toBe(false);
  const waiting = [0, 1, 2, 3].map(async (number) => {
    const session = await sessions.take();
    order.push(number);
    sessions.give(session);
  });
  sessions.give(b);
  sessions.discard(a);
  await Promise.all(waiting);
  expect(order).toEqual([0, 1, 2, 3]);
  await sessions.close(new Error("closed"));
});

test("close turns away who waits and who comes, and ends when the last session is back", async () => {
  const sessions = pool(1);
  const held = await sessions.take();
  const waiting = sessions.take();
  const closing = sessions.close(new Error("closed for good"));
  await expect(waiting).rejects.toThrow("closed for good");
  await expect(sessions.take()).rejects.toThrow("closed for good");
  let closed = false;
  const marked = closing.then(() => {
    closed = true;
  });
  expect(closed).toBe(false);
  sessions.give(held);
  await marked;
  expect(ended).toContainEqual(held);
});

test("when no session can be opened, each who waits is told why", async () => {
  const broken = new SessionPool({
    open: () => {
      throw new Error("CKR_SESSION_COUNT:177");
    },
    close: () => {},
    most: 2,
  });
  await expect(broken.take()).rejects.toThrow("CKR_SESSION_COUNT");
  await expect(broken.take()).rejects.toThrow("CKR_SESSION_COUNT");
});
