// Requests that wait for their answers on one connection: MessageIDs, matching, time limits.

import { asFault, Fault } from "../core/fault.ts";
import type { Clock } from "../core/ports.ts";
import { MessageIds } from "../wire/message-ids.ts";

/** What may be open at once on one connection. */
export const MAX_OPEN_CALLS = 256;

/** What applications may have open through their sessions: relays and what the two KMs tell each other go on beside it. */
export const MAX_SESSION_CALLS = 192;

/** Sees each answer, tells whether it is the last that the request waits for. @throws Fault, with which the request fails */
export type IsLast = (answer: object) => boolean;

const ONE_ANSWER: IsLast = () => true;

interface OpenCall {
  readonly answerCode: number;
  readonly isLast: IsLast;
  readonly resolve: (answer: object) => void;
  readonly reject: (fault: Fault) => void;
  readonly cancelTimer: () => void;
}

/** How long an answer may take, and the fault after it. */
export interface CallLimit {
  readonly timeoutMs: number;
  /** What the request fails with after that time. */
  readonly late: Fault;
  /** How many may be open with this one, if not MAX_OPEN_CALLS. */
  readonly most?: number;
}

/** One request that was sent and is not answered for good. */
export interface Call {
  readonly messageId: number;
  /** The payload of the last answer, still to be checked. */
  readonly answered: Promise<object>;
}

/** The requests of one connection that wait for answers, by MessageID; each ends at its deadline. */
export class Calls {
  readonly #clock: Clock;
  readonly #open = new Map<number, OpenCall>();
  readonly #ids: MessageIds;

  /** @param lastId the MessageID before the first */
  constructor(clock: Clock, lastId = 0) {
    this.#clock = clock;
    this.#ids = new MessageIds(this.#open, lastId);
  }

  get size(): number {
    return this.#open.size;
  }

  /** @throws Fault BUSY when too many are open */
  open(answerCode: number, limit: CallLimit, isLast: IsLast = ONE_ANSWER): Call {
    if (this.#open.size >= (limit.most ?? MAX_OPEN_CALLS)) throw new Fault("BUSY");
    const messageId = this.#ids.next();
    const answered = new Promise<object>((resolve, reject) => {
      const cancelTimer = this.#clock.after(limit.timeoutMs, () => this.fail(messageId, limit.late));
      this.#open.set(messageId, { answerCode, isLast, resolve, reject, cancelTimer });
    });
    return { messageId, answered };
  }

  /** False when the answer fits no open request. */
  answer(messageId: number, code: number, payload: object): boolean {
    const call = this.#open.get(messageId);
    if (call?.answerCode !== code) return false;
    try {
      if (call.isLast(payload)) this.#take(messageId)?.resolve(payload);
    } catch (thrown) {
      this.fail(messageId, asFault(thrown));
    }
    return true;
  }

  fail(messageId: number, fault: Fault): void {
    this.#take(messageId)?.reject(fault);
  }

  failAll(fault: Fault): void {
    for (const messageId of [...this.#open.keys()]) this.fail(messageId, fault);
  }

  #take(messageId: number): OpenCall | undefined {
    const call = this.#open.get(messageId);
    this.#open.delete(messageId);
    call?.cancelTimer();
    return call;
  }

  /** Counts up and wraps, past the numbers of open requests: one that timed out comes again after the wrap only. */
}
