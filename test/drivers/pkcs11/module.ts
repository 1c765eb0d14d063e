// A real token with a session logged in, for tests that call the module themselves.

import type { Handle, PKCS11 } from "pkcs11js";
import type { Forge } from "../../../drivers/pkcs11/attributes.ts";
import { borrowLibrary } from "../../../drivers/pkcs11/library.ts";
import { findToken, logIn, openSession } from "../../../drivers/pkcs11/slot.ts";
import { keptLog, makeToken } from "../../support/softhsm.ts";

export interface LoggedIn {
  readonly pkcs11: PKCS11;
  readonly slot: Handle;
  readonly session: Handle;
  /** For what makes keys. */
  readonly forge: Forge;
  dispose(): Promise<void>;
}

export async function logInToModule(): Promise<LoggedIn> {
  const token = await makeToken();
  const lease = borrowLibrary(token.module, token.conf);
  const { pkcs11 } = lease;
  const found = findToken(pkcs11, token.label);
  const session = openSession(pkcs11, found.slot);
  logIn(pkcs11, session, found, token.pinFile);
  return {
    pkcs11,
    slot: found.slot,
    session,
    forge: { pkcs11, session, tellsLocal: true, log: keptLog() },
    dispose() {
      lease.release();
      return token.dispose();
    },
  };
}

/** The error that `call` throws. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (thrown) {
    return thrown;
  }
  throw new Error("nothing was thrown");
}
