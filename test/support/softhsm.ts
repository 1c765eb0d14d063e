// Real SoftHSM tokens for tests, in a directory of the test's own; they can be taken away and put back.

import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initToken } from "../../drivers/pkcs11/provision.ts";
import type { Log } from "../../src/core/ports.ts";

export interface TestToken {
  readonly module: string;
  readonly label: string;
  readonly pinFile: string;
  /** For SOFTHSM2_CONF. Tokens that are open at once in one process must share it, and so the directory. */
  readonly conf: string;
  /** All tokens of the directory are gone, as if unplugged. */
  vanish(): void;
  restore(): void;
  /** Removes the token's directory, if it was made here. */
  dispose(): Promise<void>;
}

/** Makes a token in `dir` (one of its own under the system's temporary directory, unless given). */
export async function makeToken(dir?: string, label = "qkm test"): Promise<TestToken> {
  const home = dir ?? mkdtempSync(join(tmpdir(), "qkm-token-"));
  mkdirSync(home, { recursive: true });
  const pinFile = join(home, `${label}.pin`);
  const made = initToken({ dir: home, label, pinFile, soPinFile: join(home, `${label}.so-pin`) });
  return {
    module: made.module,
    label,
    pinFile,
    conf: made.softhsmConf,
    vanish: () => renameSync(join(home, "tokens"), join(home, "away")),
    restore: () => renameSync(join(home, "away"), join(home, "tokens")),
    async dispose() {
      if (dir === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** A log that keeps its lines. */
export interface KeptLog extends Log {
  readonly lines: { readonly level: keyof Log; readonly fields: object; readonly sentence: string }[];
}

export function keptLog(): KeptLog {
  const lines: KeptLog["lines"] = [];
  const at = (level: keyof Log) => (fields: object, sentence: string) => void lines.push({ level, fields, sentence });
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
