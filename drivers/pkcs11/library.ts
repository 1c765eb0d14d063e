// PKCS#11 modules, each loaded and initialised once per process and shared by all who use it.

import { createPrivateKey } from "node:crypto";
import { realpathSync } from "node:fs";
import type { PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { reasonOf } from "./refusal.ts";

/** A share in an initialised module. */
export interface Lease {
  readonly pkcs11: PKCS11;
  /** The last one out calls C_Finalize, so that the next one in sees slots and tokens afresh. Once. */
  release(): void;
}

interface Library {
  readonly pkcs11: PKCS11;
  softhsmConf: string | undefined;
  users: number;
}

// A module stays loaded: unloading one that has started threads or OpenSSL is not safe.
const libraries = new Map<string, Library>();

/**
 * Shares the module at `path`. `softhsmConf` is what SOFTHSM2_CONF is set to; SoftHSM reads it only when initialised.
 * `parameters` is handed to C_Initialize as it is (CK_C_INITIALIZE_ARGS' last field): NSS wants its folder there.
 * @throws Fault HSM_UNAVAILABLE
 */
export function borrowLibrary(path: string, softhsmConf?: string, parameters?: string): Lease {
  const library = loaded(path);
  if (library.users === 0) initialise(library, path, { softhsmConf, parameters });
  if (library.softhsmConf !== softhsmConf) {
    throw unavailable(`${path} is in use in this process with another SoftHSM configuration`);
  }
  library.users += 1;
  let held = true;
  return {
    pkcs11: library.pkcs11,
    release() {
      if (!held) return;
      held = false;
      library.users -= 1;
      if (library.users === 0) finalise(library);
    },
  };
}

function loaded(path: string): Library {
  try {
    const real = realpathSync(path);
    const known = libraries.get(real);
    if (known !== undefined) return known;
    const pkcs11 = new pkcs11js.PKCS11();
    pkcs11.load(real);
    const library = { pkcs11, softhsmConf: undefined, users: 0 };
    libraries.set(real, library);
    return library;
  } catch (cause) {
    throw unavailable(`the PKCS#11 module ${path} cannot be loaded: ${reasonOf(cause)}`, cause);
  }
}

interface Start {
  readonly softhsmConf: string | undefined;
  readonly parameters: string | undefined;
}

function initialise(library: Library, path: string, { softhsmConf, parameters }: Start): void {
  if (softhsmConf !== undefined) process.env.SOFTHSM2_CONF = softhsmConf;
  try {
    // Asynchronous calls run on other threads: without this flag a module may leave out its locks.
    const flags = pkcs11js.CKF_OS_LOCKING_OK;
    library.pkcs11.C_Initialize(parameters === undefined ? { flags } : { flags, libraryParameters: parameters });
  } catch (cause) {
    throw unavailable(`the PKCS#11 module ${path} does not start: ${reasonOf(cause)}`, cause);
  } finally {
    dropErrors();
  }
  library.softhsmConf = softhsmConf;
}

function finalise({ pkcs11 }: Library): void {
  try {
    pkcs11.C_Finalize();
  } finally {
    dropErrors();
  }
}

/**
 * A module that is built on OpenSSL is bound to Node's, and leaves its errors in the thread's list: SoftHSM those of an engine
 * that a processor without RDRAND does not have. Node would refuse the next key that it parses for them, whole as it is; what
 * it refuses by itself takes them all away.
 */
function dropErrors(): void {
  try {
    createPrivateKey("");
  } catch {
    // It is no key.
  }
}

const unavailable = (text: string, cause?: unknown) => new Fault("HSM_UNAVAILABLE", { text, cause });
