// Makes a SoftHSM token: directory, configuration, PINs and the token itself, without a PIN on any command line.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Handle, PKCS11 } from "pkcs11js";
import pkcs11js from "pkcs11js";
import { Fault } from "../../src/core/fault.ts";
import { borrowLibrary } from "./library.ts";
import { lendPin } from "./pin.ts";
import { reasonOf } from "./refusal.ts";
import { listTokens, openSession } from "./slot.ts";

/** Where the files of a SoftHSM token lie. */
export interface TokenPlace {
  /** Becomes `softhsm2.conf` and `tokens/`, both for the owner alone. May hold several tokens. */
  readonly dir: string;
  /** 1 to 32 bytes. */
  readonly label: string;
  /** Where the user's PIN is written (mode 0600), or read if it is there. */
  readonly pinFile: string;
  /** The same for the security officer's PIN, needed only to set a new PIN; keep it elsewhere. */
  readonly soPinFile: string;
  /** Path of libsofthsm2.so; looked for unless given. */
  readonly module?: string | undefined;
}

/** What the configuration of a node needs to know of its token. */
export interface ProvisionedToken {
  readonly module: string;
  readonly label: string;
  readonly softhsmConf: string;
  readonly pinFile: string;
  /** False when a token of that label was there already: nothing was changed. */
  readonly created: boolean;
}

/** @throws Fault HSM_UNAVAILABLE when SoftHSM is missing or refuses; Error of node:fs */
export function initToken({ dir, label, pinFile, soPinFile, module = findSofthsm() }: TokenPlace): ProvisionedToken {
  if (label.length === 0 || Buffer.byteLength(label) > LABEL_BYTES) {
    throw new Fault("HSM_UNAVAILABLE", { text: `a token's label must have 1 to ${LABEL_BYTES} bytes` });
  }
  const softhsmConf = writeConf(dir);
  const lease = borrowLibrary(module, softhsmConf);
  try {
    const created = !listTokens(lease.pkcs11).some((token) => token.label === label);
    if (created) {
      writePin(pinFile);
      writePin(soPinFile);
      lendPin(soPinFile, (soPin) => lendPin(pinFile, (pin) => make(lease.pkcs11, { label, soPin, pin })));
    }
    return { module, label, softhsmConf, pinFile, created };
  } finally {
    lease.release();
  }
}

/** Whether SoftHSM's folder has a token of that label; writes its configuration. @throws as `initToken` */
export function hasToken({
  dir,
  label,
  module = findSofthsm(),
}: Pick<TokenPlace, "dir" | "label" | "module">): boolean {
  const lease = borrowLibrary(module, writeConf(dir));
  try {
    return listTokens(lease.pkcs11).some((token) => token.label === label);
  } finally {
    lease.release();
  }
}

const LABEL_BYTES = 32;

/** Where Debian and its kin put SoftHSM. @throws Fault HSM_UNAVAILABLE when it is in none of these places */
export function findSofthsm(): string {
  const triplets = existsSync("/usr/lib") ? readdirSync("/usr/lib").filter((name) => name.endsWith("-linux-gnu")) : [];
  const found = ["/usr/lib", ...triplets.map((triplet) => `/usr/lib/${triplet}`), "/usr/lib64", "/usr/local/lib"]
    .flatMap((folder) => [`${folder}/softhsm/libsofthsm2.so`, `${folder}/libsofthsm2.so`])
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Fault("HSM_UNAVAILABLE", { text: "libsofthsm2.so is not installed: apt-get install softhsm2" });
}

function writeConf(dir: string): string {
  const tokens = join(dir, "tokens");
  mkdirSync(tokens, { recursive: true, mode: 0o700 });
  const conf = join(dir, "softhsm2.conf");
  const text = `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`;
  // Left alone when it is right: a key manager that runs may read it at any time.
  if (!existsSync(conf) || readFileSync(conf, "utf8") !== text) writeFileSync(conf, text, { mode: 0o600 });
  return conf;
}

/** A new random PIN of 32 characters, unless the file is there. */
function writePin(path: string): void {
  if (existsSync(path)) return;
  const bytes = Buffer.from(randomBytes(16).toString("hex"));
  writeFileSync(path, bytes, { mode: 0o600, flag: "wx" });
  bytes.fill(0);
}

function make(pkcs11: PKCS11, { label, soPin, pin }: { label: string; soPin: string; pin: string }): void {
  try {
    pkcs11.C_InitToken(emptySlot(pkcs11), soPin, padded(label));
    // SoftHSM moves a token to another slot when it becomes one: it is found again by its label.
    const slot = listTokens(pkcs11).find((token) => token.label === label)?.slot;
    if (slot === undefined) throw new Error(`the token ${label} is not there after it was made`);
    setPin(pkcs11, slot, { soPin, pin });
  } catch (cause) {
    throw new Fault("HSM_UNAVAILABLE", { text: `the token ${label} cannot be made: ${reasonOf(cause)}`, cause });
  }
}

/** The module reads 32 bytes, whatever it is given. */
const padded = (label: string) => label + " ".repeat(LABEL_BYTES - Buffer.byteLength(label));

function emptySlot(pkcs11: PKCS11): Handle {
  const empty = pkcs11
    .C_GetSlotList(true)
    .find((slot) => (pkcs11.C_GetTokenInfo(slot).flags & pkcs11js.CKF_TOKEN_INITIALIZED) === 0);
  if (empty === undefined) throw new Error("there is no empty slot");
  return empty;
}

function setPin(pkcs11: PKCS11, slot: Handle, { soPin, pin }: { soPin: string; pin: string }): void {
  const session = openSession(pkcs11, slot);
  try {
    pkcs11.C_Login(session, pkcs11js.CKU_SO, soPin);
    pkcs11.C_InitPIN(session, pin);
    pkcs11.C_Logout(session);
  } finally {
    pkcs11.C_CloseSession(session);
  }
}
