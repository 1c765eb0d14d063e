// A person at a real terminal of `qkm console`: types, and waits for what the screen shows.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { eventually } from "../../system/support/eventually.ts";

const QKM = fileURLToPath(new URL("../../../src/cli/qkm.sh", import.meta.url));
const SHOWS_MS = 60_000;
/** Escape sequences of the line editor and of redrawing. */
const SEQUENCE = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, "g");

export class Person implements AsyncDisposable {
  /** All that came, as it came. */
  raw = "";
  readonly #socat: ChildProcessByStdio<Writable, Readable, null>;
  #seen = 0;

  /** At a terminal that socat makes, in which `qkm console` is called. */
  static calling(...args: readonly string[]): Person {
    const command = [QKM, "console", ...args].map((word) => word.replace(/[\\,:!"'([{ ]/g, "\\$&")).join(" ");
    return new Person(["-t", "0.2", "STDIO", `EXEC:${command},pty,setsid,ctty,echo=0`]);
  }

  /** At the terminal that a console has made, as soon as it is there. */
  static async at(path: string): Promise<Person> {
    await eventually("the console has made its terminal", () => existsSync(path));
    return new Person(["-t", "0", "STDIO", `OPEN:${path},noctty,rawer`]);
  }

  private constructor(args: readonly string[]) {
    this.#socat = spawn("socat", args, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, LANG: "C.UTF-8" } });
    this.#socat.stdin.on("error", () => {});
    this.#socat.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.raw += text;
    });
  }

  get #text(): string {
    return this.raw.replaceAll(SEQUENCE, "").slice(this.#seen);
  }

  type(text: string | Uint8Array): void {
    this.#socat.stdin.write(text);
  }

  /** What is on the screen since the last call, up to what is waited for. @throws Error with what it shows instead */
  async shows(what: RegExp): Promise<string> {
    await eventually(`the screen shows ${what}`, () => what.test(this.#text), SHOWS_MS).catch((cause: unknown) => {
      throw new Error(`no ${what} in ${JSON.stringify(this.#text.slice(-600))}`, { cause });
    });
    const text = this.#text;
    const found = what.exec(text);
    const length = (found?.index ?? 0) + (found?.[0].length ?? 0);
    this.#seen += length;
    return text.slice(0, length);
  }

  /** Gives a command and waits for the prompt after it; what was shown between. */
  async command(text: string): Promise<string> {
    this.type(`${text}\r`);
    await this.shows(/\r\n/);
    return await this.shows(/(?:^|\n)km-a[#>] /);
  }

  async logIn(name: string, pin: string): Promise<void> {
    await this.shows(/login: /);
    this.type(`${name}\r`);
    await this.shows(/PIN: /);
    this.type(`${pin}\r`);
  }

  /** Resolves when the terminal is gone. */
  async gone(): Promise<void> {
    if (this.#socat.exitCode === null && this.#socat.signalCode === null) await once(this.#socat, "exit");
  }

  /** Goes away: the line hangs up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socat.stdin.destroy();
    if (this.#socat.exitCode === null && this.#socat.signalCode === null) this.#socat.kill("SIGTERM");
    await this.gone();
  }
}
