// KEKs on a real token: every attribute is asked for and read back.

import { readFileSync } from "node:fs";
import type { Handle } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { destroyObject, generateKey, wrongAttributes } from "../../../drivers/pkcs11/attributes.ts";
import { findKeks, generateKek, KEK_ATTRIBUTES } from "../../../drivers/pkcs11/kek.ts";
import { findObjects, readAttribute } from "../../../drivers/pkcs11/objects.ts";
import { reasonOf } from "../../../drivers/pkcs11/refusal.ts";
import type { LoggedIn } from "./module.ts";
import { logInToModule, thrownBy } from "./module.ts";

let module: LoggedIn;
beforeAll(async () => {
  module = await logInToModule();
});
afterAll(() => module.dispose());

const AES = { mechanism: pkcs11js.CKM_AES_KEY_GEN } as const;
const count = () => findObjects(module.pkcs11, module.session, []).length;

test("a KEK has every attribute of the table", async () => {
  const { pkcs11, session } = module;
  const key = (await generateKek(module.forge, "kek-1", "gcm")).key;
  expect(wrongAttributes({ ...module.forge, key }, KEK_ATTRIBUTES)).toEqual([]);
  const read = Object.fromEntries(
    KEK_ATTRIBUTES.map(({ name, type }) => [name, readAttribute(pkcs11, session, key, type).readUIntLE(0, 1)]),
  );
  expect(read).toMatchObject({ CKA_SENSITIVE: 1, CKA_EXTRACTABLE: 0, CKA_WRAP: 0, CKA_COPYABLE: 0, CKA_LOCAL: 1 });
});

test("a KEK cannot be read, copied, loosened or wrapped", async () => {
  const { pkcs11, session } = module;
  const key = (await generateKek(module.forge, "kek-2", "gcm")).key;
  const wrapper = (await generateKek(module.forge, "kek-3", "gcm")).key;
  const why = (call: () => unknown) => reasonOf(thrownBy(call));
  const wrap = { mechanism: pkcs11js.CKM_AES_KEY_WRAP };
  expect(why(() => readAttribute(pkcs11, session, key, pkcs11js.CKA_VALUE))).toBe("CKR_ATTRIBUTE_SENSITIVE");
  expect(why(() => pkcs11.C_CopyObject(session, key, [{ type: pkcs11js.CKA_LABEL, value: "copy" }]))).toMatch(/^CKR/);
  expect(why(() => pkcs11.C_WrapKey(session, wrap, wrapper, key, Buffer.alloc(64)))).toMatch(/^CKR_KEY_/);
  for (const [type, value] of [
    [pkcs11js.CKA_EXTRACTABLE, true],
    [pkcs11js.CKA_SENSITIVE, false],
    [pkcs11js.CKA_WRAP, true],
  ] as const) {
    expect(why(() => pkcs11.C_SetAttributeValue(session, key, [{ type, value }]))).toMatch(/^CKR/);
  }
});

test("a KEK that the token makes otherwise than it must be is refused and destroyed", async () => {
  // Left out, SoftHSM makes a key that is not sensitive: so the read-back must find it.
  const careless = KEK_ATTRIBUTES.map((row) => (row.name === "CKA_SENSITIVE" ? { ...row, by: "made" as const } : row));
  const before = count();
  const thrown: unknown = await generateKey(module.forge, { ...AES, label: "careless", table: careless }).catch(
    (error: unknown) => error,
  );
  expect(thrown).toMatchObject({ code: "TOKEN_UNSUITABLE" });
  expect(String(thrown)).toContain("CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE");
  expect(count()).toBe(before);
});

test.each(["CKA_WRAP", "CKA_SIGN", "CKA_COPYABLE", "CKA_MODIFIABLE"])(
  "left to the token, %s would be wrong",
  async (name) => {
    const careless = KEK_ATTRIBUTES.map((row) => (row.name === name ? { ...row, by: "made" as const } : row));
    const thrown: unknown = await generateKey(module.forge, { ...AES, label: "careless", table: careless }).catch(
      (error: unknown) => error,
    );
    expect(String(thrown)).toContain(`(${name})`);
  },
);

describe("a key that somebody else put into the token", () => {
  const plant = (): Handle =>
    module.pkcs11.C_CreateObject(module.session, [
      { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
      { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_AES },
      { type: pkcs11js.CKA_TOKEN, value: true },
      { type: pkcs11js.CKA_LABEL, value: "planted" },
      { type: pkcs11js.CKA_VALUE, value: Buffer.alloc(32, 7) },
      { type: pkcs11js.CKA_EXTRACTABLE, value: true },
    ]);

  test("is found with what is wrong about it, so that it can be destroyed but seals nothing", () => {
    const { pkcs11, session } = module;
    plant();
    const [found] = findKeks(module.forge, "planted", "gcm");
    expect(found?.wrong).toEqual(
      expect.arrayContaining(["CKA_EXTRACTABLE", "CKA_LOCAL", "CKA_NEVER_EXTRACTABLE", "CKA_ALWAYS_SENSITIVE"]),
    );
    if (found !== undefined) destroyObject(pkcs11, session, found.key);
    expect(findKeks(module.forge, "planted", "gcm")).toEqual([]);
  });
});

test("an attribute that the token does not tell counts as wrong", async () => {
  const key = (await generateKek(module.forge, "asked-too-much", "gcm")).key;
  const secret = { name: "CKA_VALUE", type: pkcs11js.CKA_VALUE, value: 0, by: "made" as const };
  const unknown = { name: "CKA_UNKNOWN", type: 0x7fff_0000, value: true, by: "made" as const };
  expect(wrongAttributes({ ...module.forge, key }, [...KEK_ATTRIBUTES, secret, unknown])).toEqual([
    "CKA_VALUE",
    "CKA_UNKNOWN",
  ]);
});

test("all are found when there are more than the token gives at once", async () => {
  const { pkcs11, session } = module;
  const labels = Array.from({ length: 70 }, (_, index) => `many:${String(index).padStart(2, "0")}`);
  for (const label of labels.toReversed()) await generateKek(module.forge, label, "gcm");
  const found = findKeks(module.forge, "many:", "gcm");
  expect(found.map(({ label }) => label)).toEqual(labels);
  for (const { key } of found) destroyObject(pkcs11, session, key);
});

const WHO = { asked: "KM", wished: "KM, if the token knows it", made: "token" } as const;

test("the manual's table is the table", () => {
  const manual = readFileSync(new URL("../../../docs/token.md", import.meta.url), "utf8");
  const names: Record<string, string> = { CKA_CLASS: "`CKO_SECRET_KEY`", CKA_KEY_TYPE: "`CKK_AES`" };
  const rows = KEK_ATTRIBUTES.map(
    ({ name, value, by }) => `| \`${name}\` | ${names[name] ?? value} | the ${WHO[by]} |`,
  );
  expect(manual.match(/^\| `CKA_.*$/gm)).toEqual(rows);
});
