// The log of a child process: lines appended to a file of bounded size, the one before it kept.

import { closeSync, existsSync, openSync, renameSync, statSync, writeSync } from "node:fs";

const LARGEST_BYTES = 8 << 20;

/** Appends to `path`; past 8 MiB it becomes `path.1` and a new one begins. */
export class LogFile implements Disposable {
  readonly #path: string;
  #file: number;
  #bytes: number;
  #closed = false;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, "a", 0o600);
    this.#bytes = statSync(path).size;
  }

  /** Does nothing after dispose. */
  write(chunk: Uint8Array): void {
    if (this.#closed) return;
    if (this.#bytes + chunk.length > LARGEST_BYTES && existsSync(this.#path)) {
      closeSync(this.#file);
      renameSync(this.#path, `${this.#path}.1`);
      this.#file = openSync(this.#path, "a", 0o600);
      this.#bytes = 0;
    }
    writeSync(this.#file, chunk);
    this.#bytes += chunk.length;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    closeSync(this.#file);
  }
}
