// One pseudo-terminal, made by socat; its other side is this process, and it ends with this process, however that ends.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { type FileHandle, open, readlink, rename, rm, symlink } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";

const APPEARS_MS = 5_000;
const POLL_MS = 5;

interface Wiring {
  received(bytes: Buffer): void;
  drained(): void;
}

/**
 *     KM ── serialport ── PATH -> PATH.<pid> -> /dev/pts/N ── socat ── stdin, stdout of socat ── this process
 *
 * socat sees the end of its stdin when this process is gone and removes PATH.<pid>; so PATH may dangle, but it never
 * leads to someone else's terminal, and a successor replaces it. This process holds the terminal open too, so that it
 * outlives a KM that closes it.
 */
export class Pty implements AsyncDisposable {
  readonly path: string;
  /** The process behind it is gone, though nobody closed it. */
  readonly failed: Promise<Error>;
  readonly #socat: ChildProcessByStdio<Writable, Readable, null>;
  readonly #held: FileHandle;
  #closing = false;

  /** @throws Error when socat is missing or cannot make the terminal */
  static async open(path: string): Promise<Pty> {
    const own = `${path}.${process.pid}`;
    const terminal = `PTY,raw,echo=0,mode=600,link=${own.replace(/[\\,:!"'([{]/g, "\\$&")}`;
    const socat = spawn("socat", ["-b", "65536", "-t", "0", terminal, "STDIO"], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise<Error>((resolve) => {
      socat.once("error", (cause) => resolve(new Error("socat cannot be started: install it", { cause })));
      socat.once("exit", (code) =>
        resolve(new Error(`socat ended (${code}): is ${path} in a folder that one can write?`)),
      );
    });
    const held = await Promise.race([appears(own), ended]);
    if (held instanceof Error) {
      socat.kill();
      throw held;
    }
    await symlink(own, `${own}.new`);
    await rename(`${own}.new`, path);
    return new Pty(path, socat, { held, ended });
  }

  private constructor(
    path: string,
    socat: ChildProcessByStdio<Writable, Readable, null>,
    { held, ended }: { held: FileHandle; ended: Promise<Error> },
  ) {
    this.path = path;
    this.#socat = socat;
    this.#held = held;
    this.failed = new Promise((resolve) => void ended.then((error) => this.#closing || resolve(error)));
    socat.stdin.on("error", () => {});
  }

  /** Begins to read. */
  start({ received, drained }: Wiring): void {
    this.#socat.stdout.on("data", received);
    this.#socat.stdin.on("drain", drained);
  }

  /** Takes the bytes over; `false` when it wants no more before `drained` is called. */
  write(bytes: Uint8Array): boolean {
    return this.#socat.stdin.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    if (this.#socat.exitCode === null && this.#socat.signalCode === null) {
      const exit = once(this.#socat, "exit");
      this.#socat.kill("SIGTERM");
      await exit;
    }
    this.#socat.stdin.destroy();
    this.#socat.stdout.destroy();
    await this.#held.close();
    if ((await readlink(this.path).catch(() => "")) === `${this.path}.${process.pid}`) await rm(this.path);
  }
}

/** Opens the terminal as soon as its link is there. */
async function appears(link: string): Promise<FileHandle | Error> {
  for (const deadline = performance.now() + APPEARS_MS; performance.now() < deadline; ) {
    const opened = await open(link, constants.O_RDWR | constants.O_NOCTTY).catch(() => undefined);
    if (opened !== undefined) return opened;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return new Error(`no pseudo-terminal appeared at ${link}`);
}
