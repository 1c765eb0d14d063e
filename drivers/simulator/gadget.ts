// A module's own end of USB HID: reports of 64 bytes on the character device of a Linux gadget, such as /dev/hidg0.

import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import type { Clock, Log } from "../../src/core/ports.ts";
import { REPORT_BYTES } from "../../src/kq/framing/reports.ts";

interface Wiring {
  /** Lent until it returns. */
  received(report: Buffer): void;
  drained(): void;
}

/** A gadget is no socket: it is asked, this often while reports come and go, and less often while none do. */
const BUSY_MS = 2;
const IDLE_MS = 20;
const BUSY_ROUNDS = 25;
const REOPEN_MS = 200;
/** Reports of one round at most, each way. */
const ROUND = 64;

/**
 * Opens the device, and opens it again while the gadget is not bound or the host is away; what was to be sent is then
 * dropped, as a device does that is pulled out.
 */
export class HidGadget implements Disposable {
  readonly path: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #wiring: Wiring | undefined;
  #fd: number | undefined;
  #out: Buffer = Buffer.alloc(0);
  readonly #in = Buffer.alloc(REPORT_BYTES);
  #filled = 0;
  #quiet = 0;
  #told = "";
  #cancel: () => void = () => {};

  constructor(path: string, { clock, log }: { readonly clock: Clock; readonly log: Log }) {
    this.path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** Begins to read. */
  start(wiring: Wiring): void {
    this.#wiring = wiring;
    this.#round();
  }

  /** Takes whole reports over; wants no more before `drained` is called. */
  write(reports: Uint8Array): boolean {
    this.#out = Buffer.concat([this.#out, reports]);
    this.#quiet = 0;
    return false;
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#wiring = undefined;
    this.#close();
  }

  #round(): void {
    this.#fd ??= this.#open();
    const moved = this.#fd !== undefined && this.#exchange(this.#fd);
    if (this.#wiring === undefined) return;
    this.#quiet = moved ? 0 : this.#quiet + 1;
    const busyMs = this.#quiet < BUSY_ROUNDS ? BUSY_MS : IDLE_MS;
    this.#cancel = this.#clock.after(this.#fd === undefined ? REOPEN_MS : busyMs, () => this.#round());
  }

  /** Whether any report came or went. */
  #exchange(fd: number): boolean {
    try {
      const sent = this.#send(fd);
      return this.#receive(fd) || sent;
    } catch (cause) {
      if (!isSystemError(cause)) throw cause;
      this.#tell(cause, "the host is away");
      this.#close();
      this.#drained();
      return false;
    }
  }

  #send(fd: number): boolean {
    const before = this.#out.length;
    for (let times = 0; times < ROUND && this.#out.length > 0; times++) {
      const rest = this.#out.length % REPORT_BYTES || REPORT_BYTES;
      const sent = orNone(() => writeSync(fd, this.#out, 0, rest));
      if (sent === 0) break;
      this.#out = this.#out.subarray(sent);
    }
    if (before > 0 && this.#out.length === 0) this.#drained();
    return this.#out.length !== before;
  }

  /** A report that is not whole when no more comes was cut: it is dropped. */
  #receive(fd: number): boolean {
    for (let times = 0; times < ROUND; times++) {
      const read = orNone(() => readSync(fd, this.#in, this.#filled, REPORT_BYTES - this.#filled, null));
      if (read === 0) {
        this.#filled = 0;
        return times > 0;
      }
      this.#told = "";
      this.#filled += read;
      if (this.#filled < REPORT_BYTES) continue;
      this.#filled = 0;
      this.#wiring?.received(this.#in);
    }
    return true;
  }

  #drained(): void {
    this.#out = Buffer.alloc(0);
    this.#wiring?.drained();
  }

  #open(): number | undefined {
    try {
      return openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOCTTY);
    } catch (cause) {
      this.#tell(cause, "the gadget cannot be opened yet; trying until it can");
      return undefined;
    }
  }

  #close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#filled = 0;
    this.#out = Buffer.alloc(0);
  }

  #tell(cause: unknown, sentence: string): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    if (why !== this.#told) this.#log.warn({ path: this.path, cause: why }, sentence);
    this.#told = why;
  }
}

/** 0 when it would have to wait. */
function orNone(call: () => number): number {
  try {
    return call();
  } catch (thrown) {
    if (isSystemError(thrown) && thrown.code === "EAGAIN") return 0;
    throw thrown;
  }
}

const isSystemError = (thrown: unknown): thrown is NodeJS.ErrnoException =>
  thrown instanceof Error && "syscall" in thrown;
