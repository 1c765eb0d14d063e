// Attributes of keys: what is asked for, how keys are made with them, and what is read back.

import type { Handle, PKCS11, Template } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import type { Log } from "../../src/core/ports.ts";
import { findObjects, readAttributes } from "./objects.ts";
import { reasonOf, saysNoObject, saysTemplate } from "./refusal.ts";

/** One row: an attribute, the value it must have, and who sets it. */
export interface AttributeRow {
  readonly name: string;
  readonly type: number;
  readonly value: boolean | number;
  /** `asked`: by the template; `wished`: by the template, if the token knows it; `made`: by the token itself. */
  readonly by: "asked" | "wished" | "made";
}

/** Makes a row for a table of attributes. */
export const row =
  (by: AttributeRow["by"]) =>
  (name: string, type: number, value: boolean | number): AttributeRow => ({ name, type, value, by });

/** A key, and what is known of how its token tells attributes. */
export interface Subject {
  readonly pkcs11: PKCS11;
  readonly session: Handle;
  readonly key: Handle;
  /** False for a token that says of a key which it has just made that it has not: CKA_LOCAL then says nothing. */
  readonly tellsLocal: boolean;
}

/** Names of the attributes of a key that are not as the table says, or that the token does not tell and must. */
export function wrongAttributes(
  { pkcs11, session, key, tellsLocal }: Subject,
  table: readonly AttributeRow[],
): string[] {
  const read = readAttributes(
    pkcs11,
    session,
    key,
    table.map(({ type }) => type),
  );
  const isWrong = ({ value, by, type }: AttributeRow, bytes: Buffer | undefined): boolean => {
    if (bytes === undefined && by === "wished") return false;
    if (type === pkcs11js.CKA_LOCAL && !tellsLocal) return false;
    return !means(bytes, value);
  };
  return table.filter((entry, index) => isWrong(entry, read[index])).map(({ name }) => name);
}

/** Whether the bytes of an attribute mean a value. */
export function means(bytes: Buffer | undefined, value: boolean | number): boolean {
  if (bytes === undefined) return false;
  if (typeof value === "boolean") return bytes.length === 1 && (bytes[0] !== 0) === value;
  return bytes.length >= 4 && bytes.readUInt32LE() === value;
}

/** Secret keys that stay in the token. */
export const SECRET_KEYS: Template = [
  { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
  { type: pkcs11js.CKA_TOKEN, value: true },
];

/** Where keys are made. */
export interface Forge {
  readonly pkcs11: PKCS11;
  readonly session: Handle;
  readonly log: Log;
  readonly tellsLocal: boolean;
}

/** What to make: a label, by which mechanism, with which attributes. */
export interface KeyPlan {
  readonly label: string;
  readonly mechanism: number;
  readonly table: readonly AttributeRow[];
}

/**
 * Makes a key with the attributes of the table, and destroys it again if one reads back otherwise. A token that does not
 * know what is only wished for makes it without, with a warning.
 * @throws Fault TOKEN_UNSUITABLE when an attribute is wrong; what the module refuses with
 */
export async function generateKey(forge: Forge, plan: KeyPlan): Promise<Handle> {
  const key = await generated(forge, plan);
  const wrong = wrongAttributes({ ...forge, key }, plan.table);
  if (wrong.length === 0) return key;
  forge.pkcs11.C_DestroyObject(forge.session, key);
  throw new Fault("TOKEN_UNSUITABLE", {
    text: `the token made a key with wrong attributes (${wrong.join(", ")}), which was destroyed; choose another token`,
  });
}

async function generated(forge: Forge, plan: KeyPlan): Promise<Handle> {
  const { pkcs11, session, log } = forge;
  const make = (rows: readonly AttributeRow[]) => {
    const template = rows.filter(({ by }) => by !== "made").map(({ type, value }) => ({ type, value }));
    return pkcs11.C_GenerateKeyAsync(session, { mechanism: plan.mechanism }, [...template, ...namesOf(plan.label)]);
  };
  try {
    return await make(plan.table);
  } catch (thrown) {
    const wishes = plan.table.filter(({ by }) => by === "wished").map(({ name }) => name);
    if (!saysTemplate(thrown) || wishes.length === 0) throw thrown;
    // A call that failed may have made the key all the same.
    destroyLabelled(pkcs11, session, plan.label);
    const key = await make(plan.table.filter(({ by }) => by !== "wished"));
    log.warn({ key: plan.label, reason: reasonOf(thrown), without: wishes }, "the token does not know some attributes");
    return key;
  }
}

const namesOf = (label: string): Template => [
  { type: pkcs11js.CKA_LABEL, value: Buffer.from(label) },
  { type: pkcs11js.CKA_ID, value: Buffer.from(label) },
];

/** Destroys secret keys of exactly that label. */
export function destroyLabelled(pkcs11: PKCS11, session: Handle, label: string): void {
  const template = [...SECRET_KEYS, { type: pkcs11js.CKA_LABEL, value: Buffer.from(label) }];
  for (const key of findObjects(pkcs11, session, template)) destroyObject(pkcs11, session, key);
}

/** Destroys an object; one that is destroyed already is fine. */
export function destroyObject(pkcs11: PKCS11, session: Handle, object: Handle): void {
  try {
    pkcs11.C_DestroyObject(session, object);
  } catch (thrown) {
    if (!saysNoObject(thrown)) throw thrown;
  }
}
