// Numbered frames on their way out: kept until the other end has them, sent again from where it says.

import type { Writer } from "./codec.ts";
import type { Limits } from "./limits.ts";
import type { KqName } from "./messages.ts";

/** One numbered frame. `put` must write the same bytes each time. */
export interface Parcel {
  readonly number: number;
  readonly name: KqName;
  readonly put: (to: Writer) => void;
  /** The other end has it. */
  readonly arrived: () => void;
}

/** Numbered frames on their way out, kept until the other end has them. */
export class Outbox {
  #parcels: Parcel[] = [];
  /** Number of the first parcel kept. */
  #first = 0;
  /** How many of those kept were sent since the last going back. */
  #sent = 0;
  #waitMs: number;
  #dueAt = Number.POSITIVE_INFINITY;
  #luck = 0;
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#waitMs = limits.resendMs;
  }

  get hasRoom(): boolean {
    return this.#parcels.length < this.#limits.window;
  }

  /** True when the numbers are spent: only a new connection helps. */
  get spent(): boolean {
    return this.#first + this.#parcels.length > this.#limits.lastNumber;
  }

  /** Above 0: frames that arrived since any was asked for again. Below 0: how often that was, since one arrived. */
  get luck(): number {
    return this.#luck;
  }

  add(name: KqName, put: (to: Writer) => void, arrived: () => void = () => {}): void {
    this.#parcels.push({ number: this.#first + this.#parcels.length, name, put, arrived });
  }

  /** The next to be sent, if any: counted as sent at `nowMs`. */
  next(nowMs: number): Parcel | undefined {
    const parcel = this.#parcels[this.#sent];
    if (parcel === undefined) return undefined;
    if (this.#sent === 0) this.#dueAt = nowMs + this.#waitMs;
    this.#sent++;
    return parcel;
  }

  /** The other end expects `next`; `false` when that cannot be. */
  acknowledged(next: number, resend: boolean, nowMs: number): boolean {
    const count = next - this.#first;
    if (count > this.#parcels.length) return false;
    if (count < 0) return true;
    for (const parcel of this.#parcels.splice(0, count)) parcel.arrived();
    this.#first = next;
    this.#sent = resend ? 0 : Math.max(0, this.#sent - count);
    if (count > 0) this.#progressed(nowMs);
    this.#tried(count, resend);
    return true;
  }

  #tried(arrived: number, resend: boolean): void {
    if (resend) this.#luck = arrived > 0 ? 0 : Math.min(0, this.#luck) - 1;
    else if (arrived > 0) this.#luck = Math.max(0, this.#luck) + arrived;
  }

  /** Goes back to the first that was not acknowledged in time. */
  tick(nowMs: number): void {
    if (this.#sent === 0 || nowMs < this.#dueAt) return;
    this.#sent = 0;
    this.#waitMs = Math.min(this.#waitMs * 2, this.#limits.resendMaxMs);
  }

  #progressed(nowMs: number): void {
    this.#waitMs = this.#limits.resendMs;
    this.#dueAt = nowMs + this.#waitMs;
  }
}
