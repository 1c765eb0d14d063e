// What a PKCS#11 error says, whichever of its two shapes pkcs11js gave it.

import { Fault } from "../../src/core/fault.ts";

const VALUES = {
  CKR_HOST_MEMORY: 0x02,
  CKR_GENERAL_ERROR: 0x05,
  CKR_FUNCTION_FAILED: 0x06,
  CKR_ATTRIBUTE_READ_ONLY: 0x10,
  CKR_ATTRIBUTE_SENSITIVE: 0x11,
  CKR_ATTRIBUTE_TYPE_INVALID: 0x12,
  CKR_ATTRIBUTE_VALUE_INVALID: 0x13,
  CKR_DEVICE_REMOVED: 0x32,
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_MEMORY: 0x31,
  CKR_FUNCTION_CANCELED: 0x50,
  CKR_FUNCTION_NOT_SUPPORTED: 0x54,
  CKR_KEY_HANDLE_INVALID: 0x60,
  CKR_MECHANISM_INVALID: 0x70,
  CKR_MECHANISM_PARAM_INVALID: 0x71,
  CKR_OBJECT_HANDLE_INVALID: 0x82,
  CKR_OPERATION_ACTIVE: 0x90,
  CKR_SESSION_CLOSED: 0xb0,
  CKR_SESSION_HANDLE_INVALID: 0xb3,
  CKR_TEMPLATE_INCOMPLETE: 0xd0,
  CKR_TEMPLATE_INCONSISTENT: 0xd1,
  CKR_TOKEN_NOT_PRESENT: 0xe0,
  CKR_TOKEN_NOT_RECOGNIZED: 0xe1,
  CKR_USER_ALREADY_LOGGED_IN: 0x100,
  CKR_USER_NOT_LOGGED_IN: 0x101,
  CKR_CRYPTOKI_NOT_INITIALIZED: 0x190,
} as const;

type ReturnName = keyof typeof VALUES;

/** The value that a PKCS#11 function returned instead of CKR_OK. */
export interface Refusal {
  /** `CKR_…`; `CKR_VENDOR_DEFINED` for what version 2.40 does not name. */
  readonly name: string;
  readonly value: number | undefined;
}

/** Reads `code` and the message: either may be missing. `undefined` when it is no error of a module. */
export function refusalOf(thrown: unknown): Refusal | undefined {
  if (!(thrown instanceof Error) || thrown instanceof Fault) return undefined;
  const found = /\b(CKR_[A-Z0-9_]+)(?::(\d+))?/.exec(thrown.message);
  const code = "code" in thrown && typeof thrown.code === "number" && thrown.code !== 0 ? thrown.code : undefined;
  if (found?.[1] === undefined) return undefined;
  return { name: found[1], value: code ?? (found[2] === undefined ? undefined : Number(found[2])) };
}

const among =
  (...names: readonly ReturnName[]) =>
  (thrown: unknown): boolean => {
    const refusal = refusalOf(thrown);
    return names.some((name) => name === refusal?.name || VALUES[name] === refusal?.value);
  };

/** The token, its session or the login is no more. */
export const saysGone = among(
  "CKR_DEVICE_REMOVED",
  "CKR_TOKEN_NOT_PRESENT",
  "CKR_TOKEN_NOT_RECOGNIZED",
  "CKR_SESSION_CLOSED",
  "CKR_SESSION_HANDLE_INVALID",
  "CKR_USER_NOT_LOGGED_IN",
  "CKR_CRYPTOKI_NOT_INITIALIZED",
);

/** The token could not do it; this says nothing about what it was given. */
export const saysTrouble = among(
  "CKR_DEVICE_ERROR",
  "CKR_DEVICE_MEMORY",
  "CKR_HOST_MEMORY",
  "CKR_FUNCTION_CANCELED",
  "CKR_KEY_HANDLE_INVALID",
  "CKR_OBJECT_HANDLE_INVALID",
  "CKR_OPERATION_ACTIVE",
);

/** Whether an error says that the object is not there. */
export const saysNoObject = among("CKR_OBJECT_HANDLE_INVALID", "CKR_KEY_HANDLE_INVALID");

/** Whether an error says that the token does not tell this attribute. */
export const saysNoAttribute = among("CKR_ATTRIBUTE_TYPE_INVALID", "CKR_ATTRIBUTE_SENSITIVE");

/** Whether an error says that this process is logged in already. */
export const saysLoggedIn = among("CKR_USER_ALREADY_LOGGED_IN");

/**
 * The token does not take this template. There are more ways to say it than the standard has: NSS answers an attribute that
 * it does not know with a general error.
 */
export const saysTemplate = among(
  "CKR_ATTRIBUTE_TYPE_INVALID",
  "CKR_ATTRIBUTE_VALUE_INVALID",
  "CKR_ATTRIBUTE_READ_ONLY",
  "CKR_TEMPLATE_INCOMPLETE",
  "CKR_TEMPLATE_INCONSISTENT",
  "CKR_GENERAL_ERROR",
  "CKR_FUNCTION_FAILED",
);

/** The token cannot do it, now or ever. */
export const saysNever = among("CKR_FUNCTION_NOT_SUPPORTED", "CKR_MECHANISM_INVALID", "CKR_MECHANISM_PARAM_INVALID");

/** `CKR_…` for a sentence, or the message of another error. */
export function reasonOf(thrown: unknown): string {
  const refusal = refusalOf(thrown);
  if (refusal?.name === "CKR_VENDOR_DEFINED" && refusal.value !== undefined)
    return `CKR 0x${refusal.value.toString(16)}`;
  return refusal?.name ?? (thrown instanceof Error ? thrown.message : String(thrown));
}
