// Numbered frames on their way in: each is taken once and in order; what is missing is asked for.

import type { Limits } from "./limits.ts";

/** What became of a frame, by its number. */
export type Verdict = "next" | "repeated" | "ahead";

/** Numbered frames on their way in. */
export class Inbox {
  #expected = 0;
  #unacknowledged = 0;
  #askedAt: number | undefined;
  #askNow = false;
  /** Number of the last frame that was ahead: a smaller one means that the sender went back again. */
  #ahead = 0;
  #owes = false;
  readonly #limits: Limits;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get expected(): number {
    return this.#expected;
  }

  /** An acknowledgement should go out: `now`, or `soon` in company. */
  get owes(): "now" | "soon" | undefined {
    if (this.#askNow || this.#unacknowledged >= this.#limits.ackEvery) return "now";
    return this.#owes ? "soon" : undefined;
  }

  take(number: number, nowMs: number): Verdict {
    this.#owes = true;
    if (number === this.#expected) {
      this.#expected++;
      this.#unacknowledged++;
      this.#askedAt = undefined;
      return "next";
    }
    if (number < this.#expected) return "repeated";
    if (!this.#isAsking(nowMs) || number <= this.#ahead) this.#ask(nowMs);
    this.#ahead = number;
    return "ahead";
  }

  /** A frame was damaged: perhaps the next one. */
  damaged(nowMs: number): void {
    if (this.#isAsking(nowMs)) return;
    this.#ask(nowMs);
    this.#ahead = this.#expected;
  }

  /** To be acknowledged again, though nothing new came. */
  owe(): void {
    this.#owes = true;
  }

  /** What to say, and whether to ask; it counts as said. */
  acknowledge(): { readonly next: number; readonly resend: 0 | 1 } {
    const resend = this.#askNow ? 1 : 0;
    this.#askNow = false;
    this.#owes = false;
    this.#unacknowledged = 0;
    return { next: this.#expected, resend };
  }

  /** It has asked, and the answer may still come. */
  #isAsking(nowMs: number): boolean {
    return this.#askedAt !== undefined && nowMs < this.#askedAt + this.#limits.resendMs;
  }

  #ask(nowMs: number): void {
    this.#askedAt = nowMs;
    this.#askNow = true;
    this.#owes = true;
  }
}
