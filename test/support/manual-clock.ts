// A clock that stands still until a test moves it.

import type { Clock } from "../../src/core/ports.ts";

interface Timer {
  readonly atMs: number;
  readonly then: () => void;
}

/** Both times begin where the test says; timers run in the order of their time, then of their setting. */
export class ManualClock implements Clock {
  #nowMs: number;
  #wallAheadMs: number;
  #timers: Timer[] = [];

  constructor(startMs = 0, wallMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
    this.#wallAheadMs = wallMs - startMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs + this.#wallAheadMs;
  }

  /** Moves the wall clock alone. */
  jump(ms: number): void {
    this.#wallAheadMs += ms;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, ms), then };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that wait: none after an orderly end. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Milliseconds until the next timer, if there is one. */
  get nextMs(): number | undefined {
    const next = this.#next();
    return next && next.atMs - this.#nowMs;
  }

  /** Moves time on and runs every timer that falls due, those that they set too. What they resolve goes on later. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    while (this.#runOne(untilMs));
    this.#nowMs = untilMs;
  }

  /** Like `advance`, but before and after each timer all that was resolved or received goes on first. */
  async run(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    do await settled();
    while (this.#runOne(untilMs));
    this.#nowMs = untilMs;
    await settled();
  }

  #next(): Timer | undefined {
    return this.#timers.reduce<Timer | undefined>(
      (first, timer) => (first === undefined || timer.atMs < first.atMs ? timer : first),
      undefined,
    );
  }

  #runOne(untilMs: number): boolean {
    const timer = this.#next();
    if (timer === undefined || timer.atMs > untilMs) return false;
    this.#timers = this.#timers.filter((other) => other !== timer);
    this.#nowMs = timer.atMs;
    timer.then();
    return true;
  }
}

/** Lets promises, and what was put off with setImmediate, go on for several turns of the event loop. */
export async function settled(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
