// Calls to the process of a token that wait for their answers, each with a deadline.

import { performance } from "node:perf_hooks";
import type { Answer, Ask, Operation, Request } from "./protocol.ts";

interface Waiting {
  readonly op: Operation;
  readonly untilMs: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: Error) => void;
}

/** How requests reach the process, and when they are overdue. */
export interface CallsOptions {
  readonly send: (request: Request) => void;
  /** Within which an operation must be answered. */
  readonly withinMs: (op: Operation) => number;
  /** An answer is overdue: called once. */
  readonly overdue: (op: Operation, afterMs: number) => void;
}

/** The calls that wait; one that is overdue ends them all, for the token is gone. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires; Infinity while there is none. */
  #looksMs = Infinity;
  #ended: Error | undefined;

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  /** Rejects with what the operation threw, or with the reason of `end`. */
  call<O extends Operation>(op: O, ask: Ask<O>): Promise<Answer<O>> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    this.#last += 1;
    const id = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const untilMs = performance.now() + this.#options.withinMs(op);
    this.#waiting.set(id, { op, untilMs, resolve, reject });
    if (untilMs < this.#looksMs) this.#watch(untilMs);
    this.#options.send({ id, op, ask });
    return promise as Promise<Answer<O>>;
  }

  answer(id: number, answer: unknown): void {
    this.#taken(id)?.resolve(answer);
  }

  fail(id: number, reason: Error): void {
    this.#taken(id)?.reject(reason);
  }

  /** Rejects all that wait, and all that come. */
  end(reason: Error): void {
    this.#ended ??= reason;
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  #taken(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** One timer for all: it is left as it is when answers come, thousands of times a second. */
  #watch(untilMs: number): void {
    clearTimeout(this.#timer);
    this.#looksMs = untilMs;
    this.#timer = setTimeout(() => this.#look(), Math.max(1, untilMs - performance.now()));
    this.#timer.unref();
  }

  /** A process that stood still itself finds answers that came long ago: it reads them before it judges. */
  #look(): void {
    const late = this.#overdue();
    // Twice: the second turn comes after what could be read in between.
    if (late === undefined) this.#judge(undefined);
    else setImmediate(() => setImmediate(() => this.#judge(late)));
  }

  #judge(late: Waiting | undefined): void {
    if (this.#ended !== undefined) return;
    if (late !== undefined && this.#overdue() === late) {
      this.#options.overdue(late.op, this.#options.withinMs(late.op));
      return;
    }
    this.#looksMs = Infinity;
    const next = Math.min(...[...this.#waiting.values()].map(({ untilMs }) => untilMs));
    if (next < Infinity) this.#watch(next);
  }

  #overdue(): Waiting | undefined {
    const now = performance.now();
    return [...this.#waiting.values()].find(({ untilMs }) => untilMs <= now);
  }
}
