// One opened serial line, on serialport's own binding, so that key bytes stay in one buffer that is zeroed.

import { readSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { SerialPort } from "serialport";
import { PortError } from "../../src/core/places/usb-port.ts";
import type { OpenLine } from "../../src/kq/host/reopen.ts";

type Binding = Awaited<ReturnType<typeof SerialPort.binding.open>>;

const READ_BYTES = 65_536;
/** A terminal gives at most so many bytes at a time: there may be more behind as many. */
const FULL_BYTES = 4_095;

/** Bytes both ways until it is closed or the device goes away; it never comes back. */
export class SerialLine implements OpenLine {
  readonly #port: Binding;
  readonly #chunk = Buffer.alloc(READ_BYTES);

  /** @throws PortError without permission, or an error of the system: no such device, locked by another process */
  static async open(path: string, baudRate: number): Promise<SerialLine> {
    await access(path, constants.R_OK | constants.W_OK).catch((cause: unknown) => {
      if (!(cause instanceof Error && "code" in cause && cause.code === "EACCES")) return;
      throw new PortError(
        `no permission for ${path}: add the user to its group (usermod -aG dialout USER)`,
        "no-permission",
      );
    });
    return new SerialLine(await SerialPort.binding.open({ path, baudRate, lock: true }));
  }

  private constructor(port: Binding) {
    this.#port = port;
    wakeLoop(port);
  }

  /** Lends each chunk to `each`; returns when the line is closed or the device is gone. */
  async read(each: (chunk: Buffer) => void): Promise<void> {
    while (this.#port.isOpen) {
      const bytes = await this.#port.read(this.#chunk, 0, READ_BYTES).then(
        ({ bytesRead }) => bytesRead,
        () => 0,
      );
      if (bytes === 0) return;
      const all = bytes < FULL_BYTES ? bytes : this.#more(bytes);
      each(this.#chunk.subarray(0, all));
      this.#chunk.fill(0, 0, all);
    }
  }

  /** Adds what is there already to the first `length` bytes, without a turn of the loop for each piece. */
  #more(length: number): number {
    const fd = "fd" in this.#port ? this.#port.fd : undefined;
    if (typeof fd !== "number") return length;
    let all = length;
    try {
      for (let bytes = length; bytes >= FULL_BYTES && all < READ_BYTES; all += bytes) {
        bytes = readSync(fd, this.#chunk, all, READ_BYTES - all, null);
      }
    } catch {
      // There is no more yet, or the device is gone, as the next read finds out.
    }
    return all;
  }

  /** Resolves when the system has taken all; a device that refuses is closed. One at a time. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#port.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    } catch {
      await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#port.isOpen) await this.#port.close();
  }
}

/**
 * serialport's poller calls back without letting promises go on, so in a process that does nothing else a read that
 * has ended is noticed only at the next event. An immediate in its listener makes the loop turn at once.
 */
function wakeLoop(port: Binding): void {
  if (!("poller" in port)) return;
  const wake = () => void setImmediate(() => {});
  port.poller.on("readable", wake).on("writable", wake);
}
