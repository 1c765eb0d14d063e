// A SoftHSM token that hangs: each of its files is a pipe that nobody writes to, so that opening one never returns.

import { execFileSync } from "node:child_process";
import { readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** Of one token directory (`…/tokens`); `goOn` puts the files back, but what hangs then stays hanging. */
export class HangingSofthsm {
  readonly #tokens: string;
  readonly #away: string;

  constructor(tokens: string) {
    this.#tokens = tokens;
    this.#away = `${tokens}.away`;
  }

  /** From its next look at a file on, the token does not answer. */
  hang(): void {
    renameSync(this.#tokens, this.#away);
    const folders = readdirSync(this.#away).filter((name) => statSync(join(this.#away, name)).isDirectory());
    for (const folder of folders) {
      execFileSync("mkdir", ["-p", "-m", "700", join(this.#tokens, folder)]);
      const pipes = readdirSync(join(this.#away, folder)).map((name) => join(this.#tokens, folder, name));
      execFileSync("mkfifo", ["-m", "600", ...pipes]);
    }
  }

  goOn(): void {
    rmSync(this.#tokens, { recursive: true });
    renameSync(this.#away, this.#tokens);
  }
}
