// Requests for keys younger than any in stock: they wait for a KMA-key whose relay begins now.
//
// A fresh KMA-key is relayed for them though the stock is full, so what they may cost is bounded: one KMA-key in a while for
// each destination, and the oldest of the stock make room.

import { Fault } from "../../core/fault.ts";
import type { Context } from "../common/context.ts";
import type { SourceStock } from "./stock.ts";

/** One that waits. */
export interface FreshRequest {
  /** What it takes of a KMA-key. */
  readonly bytes: number;
  /** Serves it, if the stock has such keys now. Rejects with a Fault when it is over. */
  serve(): Promise<boolean>;
  refuse(fault: Fault): void;
  /** What it is told when its time is over. */
  late(): Fault;
}

interface Entry {
  readonly request: FreshRequest;
  readonly stopTimer: () => void;
  isServing: boolean;
}

/** Between two fresh KMA-keys at least. */
const LEAST_MS = 1000;

/** All that wait for the keys of one destination. */
export class FreshRequests {
  readonly #context: Context;
  readonly #stock: SourceStock;
  readonly #kick: () => void;
  readonly #waiting = new Set<Entry>();
  /** No KMA-key is relayed for them before. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #stopDue: (() => void) | undefined;
  /** Given when it was last looked. */
  #serial: number;

  constructor(context: Context, stock: SourceStock, kick: () => void) {
    this.#context = context;
    this.#stock = stock;
    this.#kick = kick;
    this.#serial = stock.nextSerial;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Bytes for which a KMA-key is to be relayed now. */
  get missing(): number {
    if (this.#waiting.size === 0 || this.#now < this.#notBeforeMs) return 0;
    return [...this.#waiting].reduce((sum, { request }) => sum + request.bytes, 0);
  }

  get #now(): number {
    return this.#context.clock.monotonicMs();
  }

  /** @returns gives it up; false when it does not wait any more */
  wait(request: FreshRequest): () => boolean {
    const { clock, policy } = this.#context;
    const stopTimer = clock.after(policy.timeoutMs, () => {
      if (this.#drop(entry)) request.refuse(request.late());
    });
    const entry: Entry = { request, stopTimer, isServing: false };
    if (this.#waiting.size === 0) this.#serial = this.#stock.nextSerial;
    this.#waiting.add(entry);
    this.#stock.trim(2 * policy.stockHigh);
    this.#kickWhenDue();
    return () => this.#drop(entry);
  }

  #kickWhenDue(): void {
    const waitMs = this.#notBeforeMs - this.#now;
    if (waitMs <= 0) this.#kick();
    else
      this.#stopDue ??= this.#context.clock.after(waitMs, () => {
        this.#stopDue = undefined;
        if (this.#waiting.size > 0) this.#kick();
      });
  }

  /** The stock has changed: serves whom it can. */
  pump(): void {
    if (this.#waiting.size === 0) return;
    if (this.#stock.nextSerial !== this.#serial) {
      this.#serial = this.#stock.nextSerial;
      this.#notBeforeMs = this.#now + this.#pauseMs;
    }
    for (const entry of this.#waiting) if (!entry.isServing) this.#serve(entry);
    if (this.#waiting.size > 0) this.#kickWhenDue();
  }

  /** So long that what is relayed for them never fills the half of what a destination holds. */
  get #pauseMs(): number {
    const { maxAgeMs, fetchWindowMs, maxHeld } = this.#context.policy;
    return Math.max(LEAST_MS, (2 * (maxAgeMs + fetchWindowMs)) / maxHeld);
  }

  #serve(entry: Entry): void {
    entry.isServing = true;
    entry.request.serve().then(
      (isServed) => {
        entry.isServing = false;
        if (isServed) this.#drop(entry);
      },
      (thrown: unknown) => {
        if (this.#drop(entry))
          entry.request.refuse(thrown instanceof Fault ? thrown : new Fault("INTERNAL", { cause: thrown }));
      },
    );
  }

  /** False when it does not wait any more. */
  #drop(entry: Entry): boolean {
    entry.stopTimer();
    return this.#waiting.delete(entry);
  }

  refuseAll(fault: Fault): void {
    for (const entry of [...this.#waiting]) if (this.#drop(entry)) entry.request.refuse(fault);
  }
}
