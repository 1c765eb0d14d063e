// Objects in a token: found by template, read attribute by attribute.

import type { Handle, PKCS11, Template } from "pkcs11js";
import { saysNoAttribute } from "./refusal.ts";

const BATCH = 64;

/** Handles of all objects that fit, in the token's order. A token that is gone may answer with none. */
export function findObjects(pkcs11: PKCS11, session: Handle, template: Template): Handle[] {
  const found: Handle[] = [];
  pkcs11.C_FindObjectsInit(session, template);
  for (;;) {
    const batch = pkcs11.C_FindObjects(session, BATCH);
    if (batch.length === 0) break;
    found.push(...batch);
  }
  pkcs11.C_FindObjectsFinal(session);
  return found;
}

/** The bytes of one attribute, as the module has them (numbers little-endian here, booleans one byte). */
export function readAttribute(pkcs11: PKCS11, session: Handle, object: Handle, type: number): Buffer {
  const [attribute] = pkcs11.C_GetAttributeValue(session, object, [{ type }]);
  return attribute?.value ?? Buffer.alloc(0);
}

/** The same for several in one call; `undefined` for one that the token does not know or show. */
export function readAttributes(
  pkcs11: PKCS11,
  session: Handle,
  object: Handle,
  types: readonly number[],
): (Buffer | undefined)[] {
  try {
    return pkcs11
      .C_GetAttributeValue(
        session,
        object,
        types.map((type) => ({ type })),
      )
      .map(({ value }) => value);
  } catch (thrown) {
    if (!saysNoAttribute(thrown)) throw thrown;
    // One of them spoils the call: ask one by one.
    if (types.length === 1) return [undefined];
    return types.flatMap((type) => readAttributes(pkcs11, session, object, [type]));
  }
}
