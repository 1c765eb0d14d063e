// One module instance per process: shared, counted, and finalised by the last one out.

import { execFileSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { borrowLibrary } from "../../../drivers/pkcs11/library.ts";
import { reasonOf } from "../../../drivers/pkcs11/refusal.ts";
import type { TestToken } from "../../support/softhsm.ts";
import { makeToken } from "../../support/softhsm.ts";
import { thrownBy } from "./module.ts";

/** What OpenSSL takes for the processor's word on it (OPENSSL_ia32cap(3)): bit 62. */
const WITHOUT_RDRAND = "~0x4000000000000000";

let token: TestToken;
beforeAll(async () => {
  token = await makeToken();
});
afterAll(() => token.dispose());

test("all users share one instance, also by another name of the file; the last out finalises it", () => {
  const alias = join(dirname(token.conf), "alias.so");
  symlinkSync(token.module, alias);
  const [first, second] = [borrowLibrary(token.module, token.conf), borrowLibrary(alias, token.conf)];
  expect(second.pkcs11).toBe(first.pkcs11);
  first.release();
  first.release();
  expect(second.pkcs11.C_GetSlotList(true).length).toBeGreaterThan(0);
  second.release();
  expect(reasonOf(thrownBy(() => second.pkcs11.C_GetSlotList(true)))).toBe("CKR_CRYPTOKI_NOT_INITIALIZED");
});

test("a module that something else in the process has initialised is refused with the reason", () => {
  const other = new pkcs11js.PKCS11();
  other.load(token.module);
  other.C_Initialize();
  expect(thrownBy(() => borrowLibrary(token.module, token.conf))).toMatchObject({
    code: "HSM_UNAVAILABLE",
    message: expect.stringContaining("CKR_CRYPTOKI_ALREADY_INITIALIZED"),
  });
  other.C_Finalize();
  borrowLibrary(token.module, token.conf).release();
});

test("the next user after the last may bring another configuration", async () => {
  const elsewhere = await makeToken();
  borrowLibrary(token.module, token.conf).release();
  const lease = borrowLibrary(elsewhere.module, elsewhere.conf);
  expect(process.env.SOFTHSM2_CONF).toBe(elsewhere.conf);
  lease.release();
  await elsewhere.dispose();
});

test("issue 16, 1: on a processor without RDRAND, too, a key is parsed after a module was started, and after it was ended", () => {
  const library = new URL("../../../drivers/pkcs11/library.ts", import.meta.url).href;
  const script = `
    import { createPrivateKey, generateKeyPairSync } from "node:crypto";
    import { borrowLibrary } from ${JSON.stringify(library)};
    const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
    const lease = borrowLibrary(...process.argv.slice(1));
    const during = createPrivateKey(pem).type;
    lease.release();
    console.log(during, createPrivateKey(pem).type);`;
  const args = ["--input-type=module", "--eval", script, token.module, token.conf];
  const env = { ...process.env, OPENSSL_ia32cap: WITHOUT_RDRAND };
  expect(execFileSync(process.execPath, args, { env, encoding: "utf8" })).toBe("private private\n");
});
