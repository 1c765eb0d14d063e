// What systemd hears of a service: a datagram socket, as NOTIFY_SOCKET names it.

import { rmSync } from "node:fs";
import { loadLibc } from "../../src/core/memory/libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;
const MOST_BYTES = 4_096;

export class ModelSystemd implements Disposable {
  readonly path: string;
  readonly #libc = loadLibc({
    socket: { arguments: ["i32", "i32", "i32"], return: "i32" },
    bind: { arguments: ["i32", "pointer", "u32"], return: "i32" },
    recv: { arguments: ["i32", "pointer", "u64", "i32"], return: "i64" },
    close: { arguments: ["i32"], return: "i32" },
  });
  readonly #socket: number;
  #lines: string[] = [];

  constructor(path: string) {
    const { functions, ffi } = this.#libc;
    this.path = path;
    const address = Buffer.from(`\x01\0${path}\0`);
    this.#socket = functions.socket(AF_UNIX, SOCK_DGRAM, 0);
    if (functions.bind(this.#socket, ffi.getRawPointer(address), address.length) !== 0) {
      throw new Error(`nothing can listen at ${path}`);
    }
  }

  /** All that was told since `forget`, line by line. */
  get lines(): readonly string[] {
    const { functions, ffi } = this.#libc;
    const bytes = Buffer.alloc(MOST_BYTES);
    for (;;) {
      const got = Number(functions.recv(this.#socket, ffi.getRawPointer(bytes), BigInt(MOST_BYTES), MSG_DONTWAIT));
      if (got < 0) return this.#lines;
      this.#lines.push(...bytes.toString("utf8", 0, got).split("\n"));
    }
  }

  forget(): void {
    this.#lines = this.lines.slice(0, 0);
  }

  [Symbol.dispose](): void {
    this.#libc.functions.close(this.#socket);
    rmSync(this.path, { force: true });
  }
}
