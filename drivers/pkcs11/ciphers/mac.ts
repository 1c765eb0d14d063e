// HMAC keys in the token: made there, never shown, used for nothing else.

import type { Handle, PKCS11, Template } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../../src/core/fault.ts";
import { type AttributeRow, type Forge, row, wrongAttributes } from "../attributes.ts";
import { findObjects } from "../objects.ts";
import { view } from "./gcm.ts";

const MAC_BYTES = 32;

const [asked, wished, made] = [row("asked"), row("wished"), row("made")];

/** All of them are read back, as those of a KEK. */
export const MAC_ATTRIBUTES: readonly AttributeRow[] = [
  asked("CKA_CLASS", pkcs11js.CKA_CLASS, pkcs11js.CKO_SECRET_KEY),
  asked("CKA_KEY_TYPE", pkcs11js.CKA_KEY_TYPE, pkcs11js.CKK_GENERIC_SECRET),
  asked("CKA_VALUE_LEN", pkcs11js.CKA_VALUE_LEN, MAC_BYTES),
  asked("CKA_TOKEN", pkcs11js.CKA_TOKEN, true),
  asked("CKA_PRIVATE", pkcs11js.CKA_PRIVATE, true),
  asked("CKA_SENSITIVE", pkcs11js.CKA_SENSITIVE, true),
  asked("CKA_EXTRACTABLE", pkcs11js.CKA_EXTRACTABLE, false),
  asked("CKA_SIGN", pkcs11js.CKA_SIGN, true),
  asked("CKA_VERIFY", pkcs11js.CKA_VERIFY, true),
  asked("CKA_ENCRYPT", pkcs11js.CKA_ENCRYPT, false),
  asked("CKA_DECRYPT", pkcs11js.CKA_DECRYPT, false),
  asked("CKA_WRAP", pkcs11js.CKA_WRAP, false),
  asked("CKA_UNWRAP", pkcs11js.CKA_UNWRAP, false),
  asked("CKA_DERIVE", pkcs11js.CKA_DERIVE, false),
  asked("CKA_MODIFIABLE", pkcs11js.CKA_MODIFIABLE, false),
  wished("CKA_DESTROYABLE", pkcs11js.CKA_DESTROYABLE, true),
  made("CKA_LOCAL", pkcs11js.CKA_LOCAL, true),
  made("CKA_ALWAYS_SENSITIVE", pkcs11js.CKA_ALWAYS_SENSITIVE, true),
  made("CKA_NEVER_EXTRACTABLE", pkcs11js.CKA_NEVER_EXTRACTABLE, true),
];

/** How a key for HMAC is made; its label is the maker's. */
export const MAC_PLAN = { mechanism: pkcs11js.CKM_GENERIC_SECRET_KEY_GEN, table: MAC_ATTRIBUTES } as const;

/** The HMAC key of that label. @throws Fault HSM_UNAVAILABLE when one of that label has wrong attributes */
export function findMacKey(forge: Forge, label: string): Handle | undefined {
  const [key] = findObjects(forge.pkcs11, forge.session, templateOf(label));
  if (key === undefined) return undefined;
  const wrong = wrongAttributes({ ...forge, key }, MAC_ATTRIBUTES);
  if (wrong.length === 0) return key;
  throw new Fault("HSM_UNAVAILABLE", { text: `the key ${label} has wrong attributes: ${wrong.join(", ")}` });
}

const templateOf = (label: string): Template => [
  { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_SECRET_KEY },
  { type: pkcs11js.CKA_TOKEN, value: true },
  { type: pkcs11js.CKA_LABEL, value: Buffer.from(label) },
];

/** HMAC-SHA256. `synchronous`: on the event loop. */
export async function sign(
  { pkcs11, session, key, synchronous }: { pkcs11: PKCS11; session: Handle; key: Handle; synchronous: boolean },
  message: Uint8Array,
): Promise<Uint8Array> {
  const from = view(message);
  const to = Buffer.alloc(MAC_BYTES);
  pkcs11.C_SignInit(session, { mechanism: pkcs11js.CKM_SHA256_HMAC }, key);
  const mac = synchronous ? pkcs11.C_Sign(session, from, to) : await pkcs11.C_SignAsync(session, from, to);
  // `from` is named again because pkcs11js keeps no hold on it while the other thread reads it.
  if (mac.length !== MAC_BYTES || from.length === 0) throw new Error(`the token made a MAC of ${mac.length} bytes`);
  return Uint8Array.from(mac);
}
