// A watchdog at its outer edge: a FIFO in the place of /dev/watchdog0 and a folder in the place of its sysfs.

import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SysfsFiles {
  readonly identity?: string;
  readonly timeout?: string;
  readonly nowayout?: string;
  readonly bootstatus?: string;
}

/** Counts from the first byte; a byte starts it anew, "V" and then the close disarm it. Reads only when it is looked at. */
export class ModelWatchdog implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "qkm-watchdog-"));
  readonly device = join(this.#dir, "watchdog0");
  readonly sysfs = join(this.#dir, "class");
  readonly #timeoutMs: number;
  #fd: number | undefined;
  #kicks = 0;
  #last = "";
  #kickedAt = 0;
  #isHeld = false;

  constructor(timeoutMs = 60_000) {
    this.#timeoutMs = timeoutMs;
    execFileSync("mkfifo", ["-m", "600", this.device]);
    this.#fd = openSync(this.device, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  /** What the system tells of it. */
  describe(files: SysfsFiles): void {
    mkdirSync(join(this.sysfs, "watchdog0"), { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.sysfs, "watchdog0", name), `${text}\n`);
  }

  #look(): void {
    const bytes = Buffer.alloc(4096);
    while (this.#fd !== undefined) {
      try {
        const length = readSync(this.#fd, bytes);
        this.#isHeld = length > 0;
        if (length === 0) return;
        this.#kicks += length;
        this.#last = bytes.toString("latin1", length - 1, length);
        this.#kickedAt = performance.now();
      } catch (thrown) {
        if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EAGAIN")) throw thrown;
        this.#isHeld = true;
        return;
      }
    }
  }

  /** Bytes written to it so far. */
  get kicks(): number {
    this.#look();
    return this.#kicks;
  }

  /** Whether a process has it open. */
  get isHeld(): boolean {
    this.#look();
    return this.#isHeld;
  }

  get isDisarmed(): boolean {
    this.#look();
    return !this.#isHeld && this.#last === "V";
  }

  /** It was armed, and nobody kicked it in time. */
  get hasReset(): boolean {
    this.#look();
    return this.#kicks > 0 && !this.isDisarmed && performance.now() - this.#kickedAt > this.#timeoutMs;
  }

  /** The device goes away under whoever has it open. */
  pull(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.pull();
    rmSync(this.#dir, { recursive: true });
  }
}
