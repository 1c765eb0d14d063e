// HMAC keys in a real token: never shown, and the MAC that everybody else computes.

import { createHmac } from "node:crypto";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { generateKey } from "../../../../drivers/pkcs11/attributes.ts";
import { findMacKey, MAC_PLAN, sign } from "../../../../drivers/pkcs11/ciphers/mac.ts";
import { borrowLibrary } from "../../../../drivers/pkcs11/library.ts";
import { lendPin } from "../../../../drivers/pkcs11/pin.ts";
import { findToken, openSession } from "../../../../drivers/pkcs11/slot.ts";
import { keptLog, makeToken, type TestToken } from "../../../support/softhsm.ts";

let token: TestToken;
beforeAll(async () => {
  token = await makeToken();
});
afterAll(() => token?.dispose());

/** A session that is logged in. */
function session() {
  const lease = borrowLibrary(token.module, token.conf);
  const { pkcs11 } = lease;
  const { slot } = findToken(pkcs11, token.label);
  const handle = openSession(pkcs11, slot);
  lendPin(token.pinFile, (pin) => pkcs11.C_Login(handle, pkcs11js.CKU_USER, pin));
  return {
    pkcs11,
    handle,
    forge: { pkcs11, session: handle, tellsLocal: true, log: keptLog() },
    [Symbol.dispose]() {
      pkcs11.C_CloseSession(handle);
      lease.release();
    },
  };
}

test("PKCS #11 4.9: the value of the key is not shown, and cannot be exported", async () => {
  using open = session();
  const key = await generateKey(open.forge, { ...MAC_PLAN, label: "hidden" });
  expect(() => open.pkcs11.C_GetAttributeValue(open.handle, key, [{ type: pkcs11js.CKA_VALUE }])).toThrow(
    "CKR_ATTRIBUTE_SENSITIVE",
  );
  expect(findMacKey(open.forge, "hidden")).toBeDefined();
  expect(findMacKey(open.forge, "hidde")).toBeUndefined();
});

test.each([true, false])("RFC 4231: HMAC-SHA256 as others compute it; on the event loop: %s", async (synchronous) => {
  using open = session();
  const value = Buffer.alloc(32, 0x0b);
  const key = open.pkcs11.C_CreateObject(open.handle, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_GENERIC_SECRET },
    { type: pkcs11js.CKA_TOKEN, value: false },
    { type: pkcs11js.CKA_SIGN, value: true },
    { type: pkcs11js.CKA_VALUE, value },
  ]);
  const message = Buffer.from("Hi There");
  const mac = await sign({ pkcs11: open.pkcs11, session: open.handle, key, synchronous }, message);
  expect(Buffer.from(mac).toString("hex")).toBe(createHmac("sha256", value).update(message).digest("hex"));
});

test("a key of the label that could be read by others makes no MAC", () => {
  using open = session();
  open.pkcs11.C_CreateObject(open.handle, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_GENERIC_SECRET },
    { type: pkcs11js.CKA_TOKEN, value: true },
    { type: pkcs11js.CKA_EXTRACTABLE, value: true },
    { type: pkcs11js.CKA_SENSITIVE, value: false },
    { type: pkcs11js.CKA_LABEL, value: Buffer.from("weak") },
    { type: pkcs11js.CKA_VALUE, value: Buffer.alloc(32, 1) },
  ]);
  expect(() => findMacKey(open.forge, "weak")).toThrow("CKA_EXTRACTABLE");
});
