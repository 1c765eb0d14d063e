// Errors of pkcs11js, in each shape that it throws them in.

import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  reasonOf,
  refusalOf,
  saysGone,
  saysNever,
  saysTemplate,
  saysTrouble,
} from "../../../drivers/pkcs11/refusal.ts";
import { Fault } from "../../../src/core/fault.ts";
import type { LoggedIn } from "./module.ts";
import { logInToModule, thrownBy } from "./module.ts";

let module: LoggedIn;
beforeAll(async () => {
  module = await logInToModule();
});
afterAll(() => module.dispose());

test("an error with a code and one with a message alone are read the same", () => {
  const { pkcs11, session } = module;
  const nothing = Buffer.alloc(8, 0xff);
  const coded = thrownBy(() => pkcs11.C_DestroyObject(session, nothing));
  const bare = thrownBy(() => pkcs11.C_SetAttributeValue(session, nothing, [{ type: pkcs11js.CKA_LABEL, value: "x" }]));
  expect(coded).toHaveProperty("code", 0x82);
  expect(bare).not.toHaveProperty("code");
  const refusal = { name: "CKR_OBJECT_HANDLE_INVALID", value: 0x82 };
  expect([refusalOf(coded), refusalOf(bare)]).toEqual([refusal, refusal]);
});

test("an asynchronous call rejects with the same", async () => {
  const { pkcs11, session } = module;
  const thrown = await pkcs11
    .C_EncryptAsync(session, Buffer.alloc(8), Buffer.alloc(24))
    .catch((error: unknown) => error);
  expect(refusalOf(thrown)).toEqual({ name: "CKR_OPERATION_NOT_INITIALIZED", value: 0x91 });
});

test("a session that is closed says that it is gone", () => {
  const { pkcs11, slot } = module;
  const closed = pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION);
  pkcs11.C_CloseSession(closed);
  expect(saysGone(thrownBy(() => pkcs11.C_GetSessionInfo(closed)))).toBe(true);
});

test.each([
  ["CKR_DEVICE_REMOVED:50", saysGone, true],
  ["CKR_VENDOR_DEFINED:224", saysGone, true],
  ["CKR_GENERAL_ERROR:5", saysGone, false],
  ["CKR_DEVICE_ERROR:48", saysTrouble, true],
  ["CKR_ENCRYPTED_DATA_INVALID:64", saysTrouble, false],
  ["CKR_MECHANISM_INVALID:112", saysNever, true],
  ["CKR_MECHANISM_INVALID_BY_SOMETHING:999", saysNever, false],
  ["CKR_ATTRIBUTE_TYPE_INVALID", saysTemplate, true],
  ["CKR_PIN_INCORRECT:160", saysTemplate, false],
  ["no such file", saysGone, false],
])("%s", (message, says, expected) => {
  expect(says(new Error(message))).toBe(expected);
});

test("a fault that quotes a refusal is none, and neither is what is no error", () => {
  expect(refusalOf(new Fault("WRONG_PIN", { text: "refused: CKR_PIN_INCORRECT" }))).toBeUndefined();
  expect([refusalOf("CKR_OK"), refusalOf(undefined)]).toEqual([undefined, undefined]);
});

test("a reason is the value's name, a maker's number, or the message", () => {
  expect(reasonOf(new Error("CKR_GENERAL_ERROR:5"))).toBe("CKR_GENERAL_ERROR");
  expect(reasonOf(new Error("CKR_VENDOR_DEFINED:2147483905"))).toBe("CKR 0x80000101");
  expect(reasonOf(new Error("out of order"))).toBe("out of order");
  expect(reasonOf("out of order")).toBe("out of order");
});
