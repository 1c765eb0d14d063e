// SoftHSM's configuration file: where it says that the tokens are.

import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { Fault } from "../../src/core/fault.ts";

const TOKENDIR = /^\s*directories\.tokendir\s*=\s*(\S.*?)\s*$/m;

/** The folder of the tokens. @throws Error when the file names none */
export function tokenFolderOf(conf: string): string {
  const folder = TOKENDIR.exec(readFileSync(conf, "utf8"))?.[1];
  if (folder === undefined) throw new Error(`${conf} has no line directories.tokendir`);
  return folder;
}

/**
 * A node's folder that was copied has its own `tokens/` beside a file that still names the first one's: using those would
 * move their guard and destroy their keys.
 * @throws Fault TOKEN_UNSUITABLE
 */
export function checkNotCopied(conf: string): void {
  if (!existsSync(conf)) return;
  const beside = join(dirname(conf), "tokens");
  const named = tokenFolderOf(conf);
  if (!existsSync(beside) || (existsSync(named) && realpathSync(named) === realpathSync(beside))) return;
  // Not there yet, or away for the moment: the same path all the same.
  if (named === beside) return;
  const remedy = `if this is a copy of a node, write directories.tokendir = ${beside} there, or remove ${beside}`;
  throw new Fault("TOKEN_UNSUITABLE", { text: `${conf} names the tokens of another folder (${named}); ${remedy}` });
}
