// Requests for keys shared with one peer, in fair order, each until it is served, refused, late or given up.

import { Fault } from "../../../core/fault.ts";
import type { Answer, SupplyRequest } from "../../ports/keys.ts";
import type { Context } from "../context.ts";
import { quotaFault } from "../quota.ts";
import type { Admission } from "./admission.ts";
import { FairQueue } from "./fair-queue.ts";

/** A request that waits, with what it wants of the stock. */
export interface Waiting<Request extends SupplyRequest, Wanted> {
  readonly request: Request;
  readonly answer: Answer;
  readonly wanted: Wanted;
  /** Gives the request up: another way once its keys are on their way. */
  giveUp: () => void;
  readonly stopTimer: () => void;
}

/** Whose queue it is. */
export interface QueueOwner<Wanted> {
  /** What a request is told that has waited in vain until its deadline. */
  lateFault(wanted: Wanted): Fault;
  /** A request waits from now on: serves it, or begins what it waits for. */
  joined(wanted: Wanted): void;
  /** A request waits no more, whatever became of it. */
  left(wanted: Wanted): void;
  /** Serves those whose turn has come: the order has changed. */
  pump(): void;
}

/** Who may not wait is told to come again so much later. */
const RETRY_MS = 1000;
const NOTHING = (): void => {};

/** What a request is told that may not wait. */
export const busyFault = (): Fault => new Fault("BUSY", { retryAfterMs: RETRY_MS });

/** The queue of one peer. What a request took of its application's quota is given back when it gets no key. */
export class RequestQueue<Request extends SupplyRequest, Wanted> {
  readonly #context: Pick<Context, "clock" | "policy">;
  readonly #admission: Admission;
  readonly #owner: QueueOwner<Wanted>;
  readonly #turns = new FairQueue<Waiting<Request, Wanted>>();

  constructor(context: Pick<Context, "clock" | "policy">, admission: Admission, owner: QueueOwner<Wanted>) {
    this.#context = context;
    this.#admission = admission;
    this.#owner = owner;
  }

  get size(): number {
    return this.#turns.size;
  }

  /** The request whose turn it is. */
  head(): Waiting<Request, Wanted> | undefined {
    return this.#turns.head();
  }

  /** What all who wait want. */
  *wanted(): Iterable<Wanted> {
    for (const { wanted } of this.#turns) yield wanted;
  }

  /** What would be served before a new request of `app`. */
  ahead(app: string): Wanted[] {
    return this.#turns.ahead(app).map(({ wanted }) => wanted);
  }

  /** Takes a request off its application's quota; refuses it, and is false, when that does not reach. */
  admit({ app, count, sizeBits }: Request, answer: Answer): boolean {
    const waitMs = this.#admission.quotas.take(app, count * sizeBits);
    if (waitMs === 0) return true;
    answer.refused(quotaFault(waitMs));
    return false;
  }

  /** A request that was admitted gets no key, and nobody is told. */
  refund({ app, count, sizeBits }: Request): void {
    this.#admission.quotas.refund(app, count * sizeBits);
  }

  /** Refuses a request that was admitted and does not wait. */
  refuse(request: Request, answer: Answer, fault: Fault): () => void {
    this.refund(request);
    answer.refused(fault);
    return NOTHING;
  }

  /** Lets an admitted request wait its turn, or refuses it as BUSY. @returns gives the request up */
  wait(request: Request, answer: Answer, wanted: Wanted): () => void {
    if (this.#admission.isFull) return this.refuse(request, answer, busyFault());
    const { clock, policy } = this.#context;
    const stopTimer = clock.after(policy.timeoutMs, () => {
      // rule: answer-at-timeout
      this.#end(entry, this.#owner.lateFault(wanted));
      this.#owner.pump();
    });
    const giveUp = (): void => {
      // Whoever waited behind it may be served now.
      if (this.#drop(entry)) this.#owner.pump();
    };
    const entry: Waiting<Request, Wanted> = { request, answer, wanted, giveUp, stopTimer };
    this.#turns.add(request.app, entry);
    this.#admission.count(1);
    this.#owner.joined(wanted);
    return () => entry.giveUp();
  }

  /** Takes the head out, for its keys are there: its application's next request waits for another turn. */
  shift(): void {
    const head = this.#turns.head();
    if (head === undefined) return;
    this.#turns.shift();
    this.#left(head);
  }

  /** Ends the waiting of all, for example when the token is gone or the process stops. */
  refuseAll(fault: Fault): void {
    for (const entry of [...this.#turns]) this.#end(entry, fault);
  }

  #end(entry: Waiting<Request, Wanted>, fault: Fault): void {
    if (this.#drop(entry)) entry.answer.refused(fault);
  }

  /** False when it does not wait any more. */
  #drop(entry: Waiting<Request, Wanted>): boolean {
    if (!this.#turns.remove(entry.request.app, entry)) return false;
    this.#left(entry);
    this.refund(entry.request);
    return true;
  }

  #left({ stopTimer, wanted }: Waiting<Request, Wanted>): void {
    stopTimer();
    this.#admission.count(-1);
    this.#owner.left(wanted);
  }
}
