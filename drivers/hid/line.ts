// One opened HID device as a line of Kq: reports of 64 bytes both ways.

import { REPORT_BYTES } from "../../src/kq/framing/reports.ts";
import type { OpenLine } from "../../src/kq/host/reopen.ts";
import type { HidHandle } from "./edge.ts";

/** The device has no numbered reports. */
const REPORT_ID = 0;

/** An open HID device as Kq's host sees it: frames in reports of 64 bytes. */
export class HidLine implements OpenLine {
  readonly #handle: HidHandle;
  readonly #out = Buffer.alloc(1 + REPORT_BYTES, REPORT_ID);
  readonly #end = Promise.withResolvers<void>();
  #closed: Promise<void> | undefined;

  constructor(handle: HidHandle) {
    this.#handle = handle;
  }

  read(each: (report: Buffer) => void): Promise<void> {
    this.#handle.listen(
      (report) => this.#received(report, each),
      () => this.#end.resolve(),
    );
    return this.#end.promise;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length && this.#closed === undefined; at += REPORT_BYTES) {
        this.#out.set(bytes.subarray(at, at + REPORT_BYTES), 1);
        await this.#handle.write(this.#out);
      }
    } catch {
      this.#end.resolve();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#end.resolve();
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** A device that is gone may refuse to be closed. */
  async #close(): Promise<void> {
    try {
      await this.#handle[Symbol.asyncDispose]();
    } catch {
      this.#end.resolve();
    }
  }

  /** A report is the caller's own: it is zeroed, come what may. */
  #received(report: Buffer, each: (report: Buffer) => void): void {
    try {
      if (this.#closed === undefined) each(report);
    } catch (thrown) {
      this.#end.reject(thrown);
    } finally {
      report.fill(0);
    }
  }
}
