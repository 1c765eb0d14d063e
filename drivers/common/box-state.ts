// Whether a vendor's box can be used, as it is shown and logged: once for each change.

import { asFault } from "../../src/core/fault.ts";
import type { Log } from "../../src/core/ports.ts";
import type { SourceStatus } from "../../src/device/key-source.ts";
import { type BoxAlarm, BoxFault } from "./box-tls.ts";

/** What is known of one box from the last call to it. */
export class BoxState {
  readonly #log: Log;
  readonly #fields: { readonly link: string; readonly box: string };
  #line: SourceStatus["line"] = "down";
  #alarm: BoxAlarm | undefined;
  #told: string | undefined;
  /** What the box calls itself. */
  module: string | undefined;

  /** `box`: its address. */
  constructor(log: Log, link: string, box: string) {
    this.#log = log;
    this.#fields = { link, box };
  }

  /** It answers; that it has no key now is an answer too. */
  answered(): void {
    if (this.#line === "up") return;
    this.#line = "up";
    this.#alarm = undefined;
    this.#told = undefined;
    this.#log.info(this.#fields, "the box answers");
  }

  failed(thrown: unknown): void {
    const fault = asFault(thrown);
    if (!(fault instanceof BoxFault)) {
      this.answered();
      return;
    }
    this.#line = "down";
    this.#alarm = fault.alarm;
    if (fault.message === this.#told) return;
    this.#told = fault.message;
    const fields = { event: "box_unavailable", ...this.#fields, alarm: fault.alarm, cause: fault.message };
    this.#log.warn(fields, "the box of the link cannot be used; trying until it can");
  }

  read(): SourceStatus {
    const { module } = this;
    const alarms = this.#alarm === undefined ? [] : [this.#alarm];
    return { line: this.#line, ...(module !== undefined && { module }), alarms };
  }
}
