// A number that lives in the token: a private data object, written anew before the old one goes. Where the token refuses
// data objects, a key that can do nothing carries the number in its ID.

import type { Handle, Template } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { destroyObject, type Forge, SECRET_KEYS } from "./attributes.ts";
import { findObjects, readAttribute } from "./objects.ts";
import { saysNever, saysTemplate } from "./refusal.ts";

const APPLICATION = "qkm";
const VALUE_BYTES = 8;

/** The highest value held under the label: after a stop between writing and destroying there are two. 0 at first. */
export function readCounter(forge: Forge, label: string): number {
  return Math.max(0, ...findCounters(forge, label).map(({ value }) => value));
}

/**
 * Makes the new object, waits for `settled`, then destroys the old ones.
 * @throws RangeError when `value` is no integer from 0 to 2^53 - 1
 */
export async function writeCounter(
  forge: Forge,
  label: string,
  value: number,
  settled: () => Promise<void>,
): Promise<void> {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no counter value`);
  const old = findCounters(forge, label);
  try {
    createData(forge, label, bytesOf(value));
  } catch (thrown) {
    if (!saysTemplate(thrown) && !saysNever(thrown)) throw thrown;
    await createKey(forge, label, bytesOf(value));
  }
  await settled();
  for (const { object } of old) destroyObject(forge.pkcs11, forge.session, object);
}

function createData({ pkcs11, session }: Forge, label: string, value: Buffer): void {
  pkcs11.C_CreateObject(session, [
    ...dataOf(label),
    { type: pkcs11js.CKA_PRIVATE, value: true },
    { type: pkcs11js.CKA_MODIFIABLE, value: false },
    { type: pkcs11js.CKA_VALUE, value },
  ]);
}

async function createKey({ pkcs11, session }: Forge, label: string, value: Buffer): Promise<void> {
  await pkcs11.C_GenerateKeyAsync(session, { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN }, [
    ...keyOf(label),
    { type: pkcs11js.CKA_KEY_TYPE, value: pkcs11js.CKK_GENERIC_SECRET },
    { type: pkcs11js.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11js.CKA_PRIVATE, value: true },
    { type: pkcs11js.CKA_SENSITIVE, value: true },
    { type: pkcs11js.CKA_EXTRACTABLE, value: false },
    { type: pkcs11js.CKA_SIGN, value: false },
    { type: pkcs11js.CKA_ENCRYPT, value: false },
    { type: pkcs11js.CKA_DECRYPT, value: false },
    { type: pkcs11js.CKA_ID, value: Buffer.concat([Buffer.from(APPLICATION), value]) },
  ]);
}

interface Found {
  readonly object: Handle;
  readonly value: number;
}

function findCounters({ pkcs11, session }: Forge, label: string): Found[] {
  const read = (object: Handle, type: number) => readAttribute(pkcs11, session, object, type);
  const data = findObjects(pkcs11, session, dataOf(label)).map((object) => {
    return { object, value: numberOf(read(object, pkcs11js.CKA_VALUE)) };
  });
  const keys = findObjects(pkcs11, session, keyOf(label)).map((object) => {
    return { object, value: numberOf(read(object, pkcs11js.CKA_ID).subarray(APPLICATION.length)) };
  });
  return [...data, ...keys];
}

const dataOf = (label: string): Template => [
  { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_DATA },
  { type: pkcs11js.CKA_TOKEN, value: true },
  { type: pkcs11js.CKA_APPLICATION, value: APPLICATION },
  { type: pkcs11js.CKA_LABEL, value: label },
];

/** Not the name of any other key: a counter may be called as the key that it belongs to. */
const keyOf = (label: string): Template => [
  ...SECRET_KEYS,
  { type: pkcs11js.CKA_LABEL, value: Buffer.from(`${label}-counter`) },
];

function bytesOf(value: number): Buffer {
  const bytes = Buffer.alloc(VALUE_BYTES);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** @throws Error when the object is not one that `writeCounter` made */
function numberOf(bytes: Buffer): number {
  if (bytes.length !== VALUE_BYTES) throw new Error("a counter in the token has not 8 bytes");
  return Number(bytes.readBigUInt64BE());
}
