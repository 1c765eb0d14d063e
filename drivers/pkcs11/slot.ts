// Tokens in their slots: found by label, logged in to once.

import type { Handle, PKCS11, TokenInfo } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { lendPin } from "./pin.ts";
import { reasonOf, saysGone, saysLoggedIn } from "./refusal.ts";

// PKCS#11 2.40; pkcs11js has them, its types do not.
const CKF_HW_SLOT = 0x04;
const CKS_RW_USER_FUNCTIONS = 3;

/** A token where it is now: slot numbers change, label and serial number stay. */
export interface Found {
  readonly slot: Handle;
  readonly label: string;
  readonly serialNumber: string;
  readonly model: string;
  readonly manufacturer: string;
  /** Whether the slot says that a device is behind it. */
  readonly hardware: boolean;
  readonly flags: number;
  /** Read-write sessions that it allows; Infinity when it does not say. */
  readonly maxSessions: number;
}

/** @throws Fault HSM_UNAVAILABLE when no token or more than one has the label */
export function findToken(pkcs11: PKCS11, label: string): Found {
  const tokens = listTokens(pkcs11);
  const found = tokens.filter((token) => token.label === label);
  const [first, second] = found;
  if (first === undefined) throw unavailable(`there is no token labelled ${label}, of ${tokens.length} tokens present`);
  if (second !== undefined) throw unavailable(`${found.length} tokens are labelled ${label}; labels must differ`);
  return first;
}

/** Every initialised token that is present. @throws Fault HSM_UNAVAILABLE */
export function listTokens(pkcs11: PKCS11): Found[] {
  try {
    return pkcs11.C_GetSlotList(true).flatMap((slot) => look(pkcs11, slot) ?? []);
  } catch (cause) {
    throw unavailable(`the module lists no slots: ${reasonOf(cause)}`, cause);
  }
}

/** `undefined` when the slot holds no token that can be used. */
function look(pkcs11: PKCS11, slot: Handle): Found | undefined {
  try {
    const info = pkcs11.C_GetTokenInfo(slot);
    if ((info.flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0) return undefined;
    return {
      slot,
      label: info.label.trimEnd(),
      serialNumber: info.serialNumber.trimEnd(),
      model: info.model.trimEnd(),
      manufacturer: info.manufacturerID.trimEnd(),
      hardware: (pkcs11.C_GetSlotInfo(slot).flags & CKF_HW_SLOT) !== 0,
      flags: info.flags,
      maxSessions: sessionLimit(info),
    };
  } catch {
    return undefined;
  }
}

// 0 and all ones mean "infinite" and "not told".
const sessionLimit = ({ maxRwSessionCount: most }: TokenInfo) => (most > 0 && most < 0xffff_ffff ? most : Infinity);

/** Opens a read-write session; the login of one holds for all of the process. */
export function openSession(pkcs11: PKCS11, slot: Handle): Handle {
  return pkcs11.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION | pkcs11js.CKF_RW_SESSION);
}

/**
 * Logs in with the PIN in `pinFile`, trying it once and never when it is the token's last try.
 * @throws Fault WRONG_PIN, HSM_UNAVAILABLE
 */
export function logIn(pkcs11: PKCS11, session: Handle, { flags, label }: Found, pinFile: string): void {
  const risk = pinRisk(flags);
  if (risk !== undefined) throw new Fault("WRONG_PIN", { text: `the token ${label} ${risk}` });
  lendPin(pinFile, (pin) => {
    try {
      pkcs11.C_Login(session, pkcs11js.CKU_USER, pin);
    } catch (cause) {
      if (saysLoggedIn(cause)) return; // another user of this process did: the login is the process's
      if (saysGone(cause)) throw unavailable(`the token ${label} went away at the login: ${reasonOf(cause)}`, cause);
      // Whatever it says: a maker's own code may mean a wrong PIN, and each try may be one of three.
      throw new Fault("WRONG_PIN", { text: `the token ${label} refuses the login: ${reasonOf(cause)}`, cause });
    }
  });
}

/** Why the PIN must not be tried, from a token's flags. */
export function pinRisk(flags: number): string | undefined {
  if ((flags & pkcs11js.CKF_USER_PIN_LOCKED) !== 0)
    return "has locked its PIN: the security officer must set a new one";
  if ((flags & pkcs11js.CKF_USER_PIN_FINAL_TRY) !== 0) {
    return "has one try left before it locks: log in once with the maker's tool, then restart";
  }
  return undefined;
}

/** Whether the same token is still in its slot and `session` is still logged in. */
export function showsLife(pkcs11: PKCS11, found: Found, session: Handle): boolean {
  try {
    const now = look(pkcs11, found.slot);
    if (now?.label !== found.label || now.serialNumber !== found.serialNumber) return false;
    return pkcs11.C_GetSessionInfo(session).state === CKS_RW_USER_FUNCTIONS;
  } catch {
    return false;
  }
}

const unavailable = (text: string, cause?: unknown) => new Fault("HSM_UNAVAILABLE", { text, cause });
