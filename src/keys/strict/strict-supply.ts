// Requests of our applications for keys shared with a strict peer: served from the stock, or in turn when it is filled.

import { asFault, Fault } from "../../core/fault.ts";
import type { Context } from "../common/context.ts";
import { FairQueue } from "../common/fair-queue.ts";
import { type Quotas, quotaFault } from "../common/quota.ts";
import type { Answer, SupplyRequest } from "../ports.ts";
import { type Claim, deliver, grantClaims, noteClaims } from "./strict-grant.ts";
import type { KeyOptions, StrictStock } from "./strict-stock.ts";

interface Waiting extends KeyOptions {
  readonly request: SupplyRequest;
  readonly answer: Answer;
  readonly stopTimer: () => void;
  /** Gives the request up: another way once its keys are on their way. */
  giveUp: () => void;
}

/** Who has waited in vain is told to wait at least so long. */
const RETRY_MS = 1000;

/** What supply of a strict peer's keys needs of its surroundings. */
export interface StrictSupplyNeeds {
  isConnected(): boolean;
  /** Begins whatever relays may begin now. */
  kick(): void;
}

/** Answers requests for keys shared with one strict peer. */
export class StrictSupply {
  readonly #context: Context;
  readonly #stock: StrictStock;
  readonly #quotas: Quotas;
  readonly #needs: StrictSupplyNeeds;
  readonly #waiting = new FairQueue<Waiting>();

  constructor(context: Context, stock: StrictStock, quotas: Quotas, needs: StrictSupplyNeeds) {
    this.#context = context;
    this.#stock = stock;
    this.#quotas = quotas;
    this.#needs = needs;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** What those who wait lack, of the first size that lacks any. */
  get missing(): KeyOptions | undefined {
    const bySize = new Map<number, number>();
    for (const { count, size } of this.#waiting) bySize.set(size, (bySize.get(size) ?? 0) + count);
    const head = this.#waiting.head();
    for (const [size, total] of bySize) {
      const forHead = head?.size === size ? this.#stock.lacking(head) : 0;
      const count = Math.max(total - this.#stock.ready(size), forHead) - this.#stock.inFlight(size);
      if (count > 0) return { count, size };
    }
    return undefined;
  }

  /** @returns gives the request up */
  request(request: SupplyRequest, answer: Answer, mayWait: boolean): () => void {
    const { app, count, sizeBits, only } = request;
    const quotaMs = this.#quotas.take(app, count * sizeBits);
    const wanted = { count, size: sizeBits / 8 };
    if (quotaMs > 0) return refuse(answer, quotaFault(quotaMs));
    if (count > this.#context.policy.maxHeld) return this.#refuseNow(request, answer, new Fault("TOO_MANY_KEYS"));
    const isFree = this.#waiting.size === 0 || only !== undefined;
    const claims = isFree && only?.routeType === undefined ? this.#stock.pick(wanted, only) : undefined;
    if (claims !== undefined) return this.#grant(request, answer, claims);
    if (only !== undefined) return this.#refuseNow(request, answer, new Fault("EXTENSION_UNMET"));
    if (!mayWait) return this.#refuseNow(request, answer, new Fault("BUSY", { retryAfterMs: RETRY_MS }));
    return this.#wait(request, answer, wanted);
  }

  #refuseNow({ app, count, sizeBits }: SupplyRequest, answer: Answer, fault: Fault): () => void {
    this.#quotas.refund(app, count * sizeBits);
    return refuse(answer, fault);
  }

  #grant(request: SupplyRequest, answer: Answer, claims: readonly Claim[]): () => void {
    const { meter, audit } = this.#context;
    const { app, door, count, sizeBits } = request;
    let givenUp = false;
    const end = (unwritten: number): void => {
      meter.add("keys_supplied", { app, door }, count - unwritten);
      if (unwritten === 0) return;
      meter.add("keys_undelivered", { app }, unwritten);
      audit.note("keys_undelivered", { door, app, peer: this.#stock.book.peer }, { count: unwritten });
    };
    grantClaims(this.#context, this.#stock.book, claims, end).then(
      (grant) => {
        noteClaims(this.#context, "whole_keys_supplied", { door, app, peer: this.#stock.book.peer }, claims);
        deliver(this.#context.log, grant, givenUp ? undefined : answer);
      },
      (thrown: unknown) => {
        this.#quotas.refund(app, count * sizeBits);
        if (!givenUp) answer.refused(asFault(thrown));
      },
    );
    this.#needs.kick();
    return () => {
      givenUp = true;
    };
  }

  #wait(request: SupplyRequest, answer: Answer, wanted: KeyOptions): () => void {
    const { clock, policy } = this.#context;
    const stopTimer = clock.after(policy.timeoutMs, () => {
      this.#refuse(entry, new Fault(this.#needs.isConnected() ? "INSUFFICIENT_KEYS" : "PEER_UNAVAILABLE", AGAIN));
      this.pump();
    });
    const giveUp = (): void => {
      if (this.#drop(entry)) this.pump();
    };
    const entry: Waiting = { request, answer, stopTimer, giveUp, ...wanted };
    this.#waiting.add(request.app, entry);
    this.pump();
    return () => entry.giveUp();
  }

  /** Serves those whose turn has come; called whenever the stock has changed. */
  pump(): void {
    for (let next = this.#waiting.head(); next !== undefined; next = this.#waiting.head()) {
      const claims = this.#stock.pick(next);
      if (claims === undefined) break;
      this.#waiting.shift();
      next.stopTimer();
      next.giveUp = this.#grant(next.request, next.answer, claims);
    }
    this.#needs.kick();
  }

  /** False when it does not wait any more. */
  #drop(entry: Waiting): boolean {
    const { app, count, sizeBits } = entry.request;
    entry.stopTimer();
    if (!this.#waiting.remove(app, entry)) return false;
    this.#quotas.refund(app, count * sizeBits);
    return true;
  }

  #refuse(entry: Waiting, fault: Fault): void {
    if (this.#drop(entry)) entry.answer.refused(fault);
  }

  /** Ends the waiting of all, for example when the token is gone or the process stops. */
  refuseAll(fault: Fault): void {
    for (const entry of [...this.#waiting]) this.#refuse(entry, fault);
  }
}

const AGAIN = { retryAfterMs: RETRY_MS };

function refuse(answer: Answer, fault: Fault): () => void {
  answer.refused(fault);
  return () => {};
}
