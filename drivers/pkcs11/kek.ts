// Key-encryption keys in the token: their attributes, how they are made, checked, found and destroyed.

import type { Handle, PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import {
  type AttributeRow,
  destroyLabelled,
  type Forge,
  generateKey,
  means,
  row,
  SECRET_KEYS,
  wrongAttributes,
} from "./attributes.ts";
import { MAC_PLAN } from "./ciphers/mac.ts";
import { findObjects, readAttribute, readAttributes } from "./objects.ts";

const [asked, wished, made] = [row("asked"), row("wished"), row("made")];

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
  wished("CKA_COPYABLE", pkcs11js.CKA_COPYABLE, false),
  wished("CKA_DESTROYABLE", pkcs11js.CKA_DESTROYABLE, true),
  made("CKA_LOCAL", pkcs11js.CKA_LOCAL, true),
  made("CKA_ALWAYS_SENSITIVE", pkcs11js.CKA_ALWAYS_SENSITIVE, true),
  made("CKA_NEVER_EXTRACTABLE", pkcs11js.CKA_NEVER_EXTRACTABLE, true),
];

/** How a token seals: by AES-GCM, or by AES-CBC and a MAC, for which each KEK has a second key. */
export type Scheme = "gcm" | "cbc-mac";

/** The label of the second key. */
const macLabel = (label: string): string => `${label}-mac`;

/**
 * Makes a KEK, and the key of its MAC before it: a KEK that is found is whole.
 * @throws Fault TOKEN_UNSUITABLE; Error when a key of that label is there already
 */
export async function generateKek(forge: Forge, label: string, scheme: Scheme): Promise<FoundKek> {
  const { pkcs11, session } = forge;
  if (
    findObjects(pkcs11, session, [...SECRET_KEYS, { type: pkcs11js.CKA_LABEL, value: Buffer.from(label) }]).length > 0
  ) {
    throw new Error(`the token has a KEK ${label} already`);
  }
  const aes = { label, mechanism: pkcs11js.CKM_AES_KEY_GEN, table: KEK_ATTRIBUTES };
  if (scheme === "gcm") return { label, key: await generateKey(forge, aes), mac: undefined, wrong: [] };
  destroyLabelled(pkcs11, session, macLabel(label));
  const mac = await generateKey(forge, { ...MAC_PLAN, label: macLabel(label) });
  return { label, key: await generateKey(forge, aes), mac, wrong: [] };
}

/** A KEK in the token; `wrong` names attributes that are not as a KEK's must be. */
export interface FoundKek {
  readonly label: string;
  readonly key: Handle;
  /** The key of its MAC, where the token seals by CBC. */
  readonly mac: Handle | undefined;
  readonly wrong: readonly string[];
}

/** KEKs of the token whose label begins with `prefix`, in the bytewise order of their labels. */
export function findKeks(forge: Forge, prefix: string, scheme: Scheme): FoundKek[] {
  const { pkcs11, session } = forge;
  const named = findObjects(pkcs11, session, SECRET_KEYS)
    .map((key) => ({ key, label: readAttribute(pkcs11, session, key, pkcs11js.CKA_LABEL) }))
    .filter(({ label }) => label.toString().startsWith(prefix))
    .sort((a, b) => Buffer.compare(a.label, b.label))
    .map(({ key, label }) => ({ key, label: label.toString() }));
  const macs = new Map(named.map(({ key, label }) => [label, key]));
  return named
    .filter(({ key }) => isAes(pkcs11, session, key))
    .map(({ key, label }) => {
      const wrong = wrongAttributes({ ...forge, key }, KEK_ATTRIBUTES);
      if (scheme === "gcm") return { label, key, mac: undefined, wrong };
      const mac = macs.get(macLabel(label));
      return { label, key, mac, wrong: mac === undefined ? [...wrong, "no key for its MAC"] : wrong };
    });
}

function isAes(pkcs11: PKCS11, session: Handle, key: Handle): boolean {
  const [type] = readAttributes(pkcs11, session, key, [pkcs11js.CKA_KEY_TYPE]);
  return means(type, pkcs11js.CKK_AES);
}
