// One opened serial line, on serialport's own binding, so that key bytes stay in one buffer that is zeroed.

import { readSync, writeSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { SerialPort } from "serialport";
import { PortError } from "../../src/core/places/usb-port.ts";
import type { OpenLine } from "../../src/kq/host/reopen.ts";

type Binding = Awaited<ReturnType<typeof SerialPort.binding.open>>;

const READ_BYTES = 65_536;

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
  }

  /** Lends each chunk to `each`; returns when the line is closed or the device is gone. */
  async read(each: (chunk: Buffer) => void): Promise<void> {
    while (this.#port.isOpen) {
      const bytes = this.#take();
      if (bytes === undefined) return;
      if (bytes > 0) each(this.#chunk.subarray(0, bytes));
      this.#chunk.fill(0, 0, bytes);
      // Also when there is more already: what is more urgent goes first.
      await ready(this.#port, "readable");
    }
  }

  /** All that is there, of which a terminal gives 4 KiB at a time; undefined when the device is gone. */
  #take(): number | undefined {
    const fd = fdOf(this.#port);
    let all = 0;
    try {
      while (all < READ_BYTES) {
        const bytes = readSync(fd, this.#chunk, all, READ_BYTES - all, null);
        if (bytes === 0) return all > 0 ? all : undefined;
        all += bytes;
      }
    } catch (thrown) {
      // Whoever is gone is so at the next look, too.
      if (all === 0 && !isLater(thrown)) return undefined;
    }
    return all;
  }

  /** Resolves when the system has taken all; a device that refuses is closed. One at a time. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let given = 0; given < bytes.length; ) {
        const some = this.#give(bytes.subarray(given));
        given += some;
        if (some === 0) await ready(this.#port, "writable");
      }
    } catch {
      await this[Symbol.asyncDispose]();
    }
  }

  /** How much of it the system takes at once. @throws Error of the system, or when the port is closed */
  #give(bytes: Uint8Array): number {
    try {
      return writeSync(fdOf(this.#port), bytes);
    } catch (thrown) {
      if (isLater(thrown)) return 0;
      throw thrown;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#port.isOpen) await this.#port.close();
  }
}

/** What serialport has below its own reading and writing, which go through a thread of libuv twice for each chunk. */
function fdOf(port: Binding): number {
  const fd = "fd" in port ? port.fd : undefined;
  if (typeof fd !== "number") throw new Error("the port is not open");
  return fd;
}

/**
 * Resolves when there is something to read, or room to write, or the port is closed. serialport's poller calls back without
 * letting promises go on, so in a process that does nothing else they would wait for the next event: an immediate lets them.
 */
const ready = (port: Binding, what: "readable" | "writable"): Promise<void> =>
  new Promise((resolve) => {
    if (!("poller" in port)) throw new Error("serialport has no poller on this system");
    port.poller.once(what, () => void setImmediate(resolve));
  });

/** Nothing to read, or no room to write, now. */
const isLater = (thrown: unknown): boolean =>
  thrown instanceof Error && "code" in thrown && (thrown.code === "EAGAIN" || thrown.code === "EINTR");
