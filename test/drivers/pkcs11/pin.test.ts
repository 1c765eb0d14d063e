// PIN files: what is lent, what is refused; and flags that forbid a try.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { lendPin } from "../../../drivers/pkcs11/pin.ts";
import { pinRisk } from "../../../drivers/pkcs11/slot.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-pin-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function fileOf(text: string, mode = 0o600): string {
  const path = join(dir, `${text.length}-${mode}.pin`);
  writeFileSync(path, text, { mode });
  return path;
}

test.each([
  ["1234", "1234"],
  ["1234\n", "1234"],
  ["12 34\r\n", "12 34"],
  ["first\nsecond\n", "first"],
  ["p\u00efn", "p\u00efn"],
  ["x".repeat(255), "x".repeat(255)],
])("of %j the first line is lent", (text, pin) => {
  expect(lendPin(fileOf(text), (lent) => lent === pin)).toBe(true);
});

test.each([
  ["an empty file", "", 0o600],
  ["an empty line", "\n1234\n", 0o600],
  ["a longer one than any token takes", "x".repeat(256), 0o600],
  ["one that everybody may read", "1234567", 0o604],
])("%s is refused", (_what, text, mode) => {
  expect(() => lendPin(fileOf(text, mode), () => 0)).toThrow(expect.objectContaining({ code: "HSM_UNAVAILABLE" }));
});

test("a PIN is not tried when the token is locked, or would lock", () => {
  expect(pinRisk(0)).toBeUndefined();
  expect(pinRisk(pkcs11js.CKF_USER_PIN_COUNT_LOW)).toBeUndefined();
  expect(pinRisk(pkcs11js.CKF_USER_PIN_FINAL_TRY)).toContain("one try left");
  expect(pinRisk(pkcs11js.CKF_USER_PIN_LOCKED)).toContain("locked");
});
