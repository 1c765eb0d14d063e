// The PIN: read from its file when it is needed, lent once, the bytes zeroed.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Fault } from "../../src/core/fault.ts";

const LONGEST = 255;

/**
 * Lends the PIN in the file `path` (without its line end). pkcs11js takes a PIN only as a string, which the engine
 * frees but does not zero: so it is made here, late, for one call, and nobody keeps it.
 * @throws Fault HSM_UNAVAILABLE when the file cannot be read, holds no PIN, or everybody may read it
 */
export function lendPin<T>(path: string, use: (pin: string) => T): T {
  const bytes = Buffer.alloc(LONGEST + 2);
  try {
    const length = readPin(path, bytes);
    return use(bytes.toString("utf8", 0, length));
  } finally {
    bytes.fill(0);
  }
}

function readPin(path: string, into: Buffer): number {
  const file = openPin(path);
  try {
    if ((fstatSync(file).mode & 0o007) !== 0) throw unusable(`everybody may use the PIN file ${path}: chmod 600`);
    // From where it is: a pipe cannot be sought in.
    const read = readSync(file, into, 0, into.length, null);
    const text = into.subarray(0, read);
    const end = text.findIndex((byte) => byte === 0x0a || byte === 0x0d);
    const length = end === -1 ? read : end;
    if (length === 0 || length > LONGEST) throw unusable(`the PIN file ${path} must hold 1 to ${LONGEST} bytes`);
    return length;
  } finally {
    closeSync(file);
  }
}

function openPin(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw unusable(`the PIN file ${path} cannot be opened`, cause);
  }
}

const unusable = (text: string, cause?: unknown) => new Fault("HSM_UNAVAILABLE", { text, cause });
