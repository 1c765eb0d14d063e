// A token of another make, opened as a KM opens it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openToken } from "../../../drivers/pkcs11/process/open.ts";
import type { Token } from "../../../src/device/token.ts";
import { type KeptLog, keptLog } from "../../support/softhsm.ts";

/** A folder of a test's own, with the file of the token's PIN. */
export interface Place extends Disposable {
  readonly dir: string;
  readonly pinFile: string;
}

export function makePlace(pin: string): Place {
  const dir = mkdtempSync(join(tmpdir(), "qkm-tokens-"));
  const pinFile = join(dir, "pin");
  writeFileSync(pinFile, pin, { mode: 0o600 });
  return { dir, pinFile, [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }) };
}

export interface Other {
  readonly module: string;
  readonly label: string;
  readonly pinFile: string;
  readonly softhsmConf?: string;
  readonly parameters?: string;
}

/** With a deadline that a busy machine keeps. */
export const openOther = (other: Other, log: KeptLog = keptLog()): Promise<Token> =>
  openToken({ ...other, deadlineMs: 20_000, allowUnlocked: false }, log);
