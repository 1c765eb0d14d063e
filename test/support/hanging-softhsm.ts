// A SoftHSM token that hangs: each of its files is a pipe that nobody writes to, so that opening one never returns.

import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { eventually } from "../system/support/eventually.ts";

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

  /**
   * Hangs in the C_Login of the next opening: the PIN comes through a pipe, so that it is known when the next call is the login.
   * Resolves when the PIN has been read. All calls before it, and what reads the PIN's file later, go on.
   */
  async hangAtLogin(pinFile: string): Promise<void> {
    const pin = readFileSync(pinFile);
    const away = `${pinFile}.away`;
    renameSync(pinFile, away);
    execFileSync("mkfifo", ["-m", "600", pinFile]);
    let pipe = -1;
    await eventually("somebody reads the PIN", () => {
      pipe = writerOf(pinFile);
      return pipe >= 0;
    });
    this.hang();
    renameSync(away, pinFile);
    writeSync(pipe, pin);
    closeSync(pipe);
  }
}

/** Of a pipe; -1 while nobody reads it. */
function writerOf(path: string): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENXIO") return -1;
    throw thrown;
  }
}
