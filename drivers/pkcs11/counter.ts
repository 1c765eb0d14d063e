// A number that lives in the token: a private data object, written anew before the old one goes.

import type { Handle, PKCS11, Template } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { destroyObject } from "./kek.ts";
import { findObjects, readAttribute } from "./objects.ts";

const APPLICATION = "qkm";
const VALUE_BYTES = 8;

/** The highest value held under the label: after a stop between writing and destroying there are two. 0 at first. */
export function readCounter(pkcs11: PKCS11, session: Handle, label: string): number {
  const values = findCounters(pkcs11, session, label).map((object) => counted(pkcs11, session, object));
  return Math.max(0, ...values);
}

/**
 * Makes the new object, waits for `settled`, then destroys the old ones.
 * @throws RangeError when `value` is no integer from 0 to 2^53 - 1
 */
export async function writeCounter(
  { pkcs11, session }: { pkcs11: PKCS11; session: Handle },
  label: string,
  value: number,
  settled: () => Promise<void>,
): Promise<void> {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no counter value`);
  const bytes = Buffer.alloc(VALUE_BYTES);
  bytes.writeBigUInt64BE(BigInt(value));
  const old = findCounters(pkcs11, session, label);
  pkcs11.C_CreateObject(session, [
    ...templateOf(label),
    { type: pkcs11js.CKA_PRIVATE, value: true },
    { type: pkcs11js.CKA_MODIFIABLE, value: false },
    { type: pkcs11js.CKA_VALUE, value: bytes },
  ]);
  await settled();
  for (const object of old) destroyObject(pkcs11, session, object);
}

const findCounters = (pkcs11: PKCS11, session: Handle, label: string) =>
  findObjects(pkcs11, session, templateOf(label));

const templateOf = (label: string): Template => [
  { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_DATA },
  { type: pkcs11js.CKA_TOKEN, value: true },
  { type: pkcs11js.CKA_APPLICATION, value: APPLICATION },
  { type: pkcs11js.CKA_LABEL, value: label },
];

/** @throws Error when the object is not one that `writeCounter` made */
function counted(pkcs11: PKCS11, session: Handle, object: Handle): number {
  const bytes = readAttribute(pkcs11, session, object, pkcs11js.CKA_VALUE);
  if (bytes.length !== VALUE_BYTES) throw new Error("a counter in the token has not 8 bytes");
  return Number(bytes.readBigUInt64BE());
}
