// Key-encryption keys in the token: their attributes, how they are made, checked, found and destroyed.

import type { Handle, PKCS11, Template } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { findObjects, readAttribute, readAttributes } from "./objects.ts";
import { saysNoObject } from "./refusal.ts";

/** One row: an attribute, the value it must have, and whether it is asked for or made by the token itself. */
export interface AttributeRow {
  readonly name: string;
  readonly type: number;
  readonly value: boolean | number;
  readonly asked: boolean;
}

const asked = (name: string, type: number, value: boolean | number): AttributeRow => ({
  name,
  type,
  value,
  asked: true,
});
const made = (name: string, type: number, value: boolean | number): AttributeRow => ({
  name,
  type,
  value,
  asked: false,
});

/** All of them are read back; tokens differ in what they assume when one is left out. */
export const KEK_ATTRIBUTES: readonly AttributeRow[] = [
  asked("CKA_CLASS", pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY),
  asked("CKA_KEY_TYPE", pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_AES),
  asked("CKA_VALUE_LEN", pkcs11js.CKA_VALUE_LEN, 32),
  asked("CKA_TOKEN", pkcs11js.CKA_TOKEN, true),
  asked("CKA_PRIVATE", pkcs11js.CKA_PRIVATE, true),
  asked("CKA_SENSITIVE", pkcs11js.CKA_SENSITIVE, true),
  asked("CKA_EXTRACTABLE", pkcs11js.CKA_EXTRACTABLE, false),
  asked("CKA_ENCRYPT", pkcs11js.CKA_ENCRYPT, true),
  asked("CKA_DECRYPT", pkcs11js.CKA_DECRYPT, true),
  asked("CKA_SIGN", pkcs11js.CKA_SIGN, false),
  asked("CKA_VERIFY", pkcs11js.CKA_VERIFY, false),
  asked("CKA_WRAP", pkcs11js.CKA_WRAP, false),
  asked("CKA_UNWRAP", pkcs11js.CKA_UNWRAP, false),
  asked("CKA_DERIVE", pkcs11js.CKA_DERIVE, false),
  asked("CKA_MODIFIABLE", pkcs11js.CKA_MODIFIABLE, false),
  asked("CKA_COPYABLE", pkcs11js.CKA_COPYABLE, false),
  asked("CKA_DESTROYABLE", pkcs11js.CKA_DESTROYABLE, true),
  made("CKA_LOCAL", pkcs11js.CKA_LOCAL, true),
  made("CKA_ALWAYS_SENSITIVE", pkcs11js.CKA_ALWAYS_SENSITIVE, true),
  made("CKA_NEVER_EXTRACTABLE", pkcs11js.CKA_NEVER_EXTRACTABLE, true),
];

/** Names of the attributes of a key that are not as the table says, or that the token does not tell. */
export function wrongAttributes(
  pkcs11: PKCS11,
  session: Handle,
  key: Handle,
  table: readonly AttributeRow[] = KEK_ATTRIBUTES,
): string[] {
  const read = readAttributes(
    pkcs11,
    session,
    key,
    table.map(({ type }) => type),
  );
  return table.filter(({ value }, index) => !means(read[index], value)).map(({ name }) => name);
}

function means(bytes: Buffer | undefined, value: boolean | number): boolean {
  if (bytes === undefined) return false;
  if (typeof value === "boolean") return bytes.length === 1 && (bytes[0] !== 0) === value;
  return bytes.length >= 4 && bytes.readUInt32LE() === value;
}

/**
 * Makes a key with the attributes of the table and destroys it again if one reads back otherwise.
 * @throws Fault HSM_UNAVAILABLE when an attribute is wrong; Error when a key of that label is there already
 */
export async function generateKek(
  pkcs11: PKCS11,
  session: Handle,
  label: string,
  table: readonly AttributeRow[] = KEK_ATTRIBUTES,
): Promise<Handle> {
  const names = { label: Buffer.from(label), id: Buffer.from(label) };
  if (findObjects(pkcs11, session, [...CLASS, { type: pkcs11js.CKA_LABEL, value: names.label }]).length > 0) {
    throw new Error(`the token has a KEK ${label} already`);
  }
  const key = await pkcs11.C_GenerateKeyAsync(session, { mechanism: pkcs11js.CKM_AES_KEY_GEN }, [
    ...table.filter((row) => row.asked).map(({ type, value }) => ({ type, value })),
    { type: pkcs11js.CKA_LABEL, value: names.label },
    { type: pkcs11js.CKA_ID, value: names.id },
  ]);
  const wrong = wrongAttributes(pkcs11, session, key, table);
  if (wrong.length === 0) return key;
  pkcs11.C_DestroyObject(session, key);
  throw new Fault("HSM_UNAVAILABLE", {
    text: `the token made a KEK with wrong attributes (${wrong.join(", ")}), which was destroyed; choose another token`,
  });
}

const CLASS: Template = [
  { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
  { type: pkcs11js.CKA_TOKEN, value: true },
];

/** A key in the token; `wrong` names attributes that are not as a KEK's must be. */
export interface FoundKek {
  readonly label: string;
  readonly key: Handle;
  readonly wrong: readonly string[];
}

/** Secret keys of the token whose label begins with `prefix`, in the bytewise order of their labels. */
export function findKeks(pkcs11: PKCS11, session: Handle, prefix: string): FoundKek[] {
  return findObjects(pkcs11, session, CLASS)
    .map((key) => ({ key, label: readAttribute(pkcs11, session, key, pkcs11js.CKA_LABEL) }))
    .filter(({ label }) => label.toString().startsWith(prefix))
    .sort((a, b) => Buffer.compare(a.label, b.label))
    .map(({ key, label }) => ({ key, label: label.toString(), wrong: wrongAttributes(pkcs11, session, key) }));
}

/** Destroys an object; one that is destroyed already is fine. */
export function destroyObject(pkcs11: PKCS11, session: Handle, object: Handle): void {
  try {
    pkcs11.C_DestroyObject(session, object);
  } catch (thrown) {
    if (!saysNoObject(thrown)) throw thrown;
  }
}
