// Requests of our applications for keys shared with a strict peer: served from the stock, or in turn when it is filled.

import { asFault, Fault } from "../../core/fault.ts";
import type { Context } from "../common/context.ts";
import type { Admission } from "../common/queues/admission.ts";
import { RequestQueue } from "../common/queues/request-queue.ts";
import type { Answer, SupplyRequest } from "../ports/keys.ts";
import { type Claim, countGranted, deliver, grantClaims, noteClaims } from "./strict-grant.ts";
import type { KeyOptions, StrictStock } from "./strict-stock.ts";

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
  readonly #needs: StrictSupplyNeeds;
  readonly #queue: RequestQueue<SupplyRequest, KeyOptions>;

  constructor(context: Context, stock: StrictStock, admission: Admission, needs: StrictSupplyNeeds) {
    this.#context = context;
    this.#stock = stock;
    this.#needs = needs;
    this.#queue = new RequestQueue(context, admission, {
      lateFault: () => new Fault(needs.isConnected() ? "INSUFFICIENT_KEYS" : "PEER_UNAVAILABLE", AGAIN),
      joined: () => this.pump(),
      left: () => {},
      pump: () => this.pump(),
    });
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether somebody waits for keys of this size. */
  isAwaited(size: number): boolean {
    return [...this.#queue.wanted()].some((wanted) => wanted.size === size);
  }

  /** What those who wait lack, of the first size that lacks any. */
  get missing(): KeyOptions | undefined {
    const bySize = new Map<number, number>();
    for (const { count, size } of this.#queue.wanted()) bySize.set(size, (bySize.get(size) ?? 0) + count);
    const head = this.#queue.head()?.wanted;
    for (const [size, total] of bySize) {
      const forHead = head?.size === size ? this.#stock.lacking(head) : 0;
      const count = Math.max(total - this.#stock.ready(size), forHead) - this.#stock.inFlight(size);
      if (count > 0) return { count, size };
    }
    return undefined;
  }

  /** @returns gives the request up */
  request(request: SupplyRequest, answer: Answer): () => void {
    const { count, sizeBits, only } = request;
    const queue = this.#queue;
    if (!queue.admit(request, answer)) return () => {};
    const wanted = { count, size: sizeBits / 8 };
    if (count > this.#context.policy.maxHeld) return queue.refuse(request, answer, new Fault("TOO_MANY_KEYS"));
    const isFree = queue.size === 0 || only !== undefined;
    const claims = isFree && only?.routeType === undefined ? this.#stock.pick(wanted, only) : undefined;
    if (claims !== undefined) return this.#grant(request, answer, claims);
    if (only !== undefined) return queue.refuse(request, answer, new Fault("EXTENSION_UNMET"));
    return queue.wait(request, answer, wanted);
  }

  #grant(request: SupplyRequest, answer: Answer, claims: readonly Claim[]): () => void {
    const { app, door, count } = request;
    const who = { door, app, peer: this.#stock.book.peer };
    let givenUp = false;
    const end = (unwritten: number): void => countGranted(this.#context, "keys_supplied", who, [count, unwritten]);
    grantClaims(this.#context, this.#stock.book, claims, end).then(
      (grant) => {
        noteClaims(this.#context, "whole_keys_supplied", who, claims);
        deliver(this.#context.log, grant, givenUp ? undefined : answer);
      },
      (thrown: unknown) => {
        this.#queue.refund(request);
        if (!givenUp) answer.refused(asFault(thrown));
      },
    );
    this.#needs.kick();
    return () => {
      givenUp = true;
    };
  }

  /** Serves those whose turn has come; called whenever the stock has changed. */
  pump(): void {
    for (let next = this.#queue.head(); next !== undefined; next = this.#queue.head()) {
      const claims = this.#stock.pick(next.wanted);
      if (claims === undefined) break;
      this.#queue.shift();
      next.giveUp = this.#grant(next.request, next.answer, claims);
    }
    this.#needs.kick();
  }

  /** Ends the waiting of all, for example when the token is gone or the process stops. */
  refuseAll(fault: Fault): void {
    this.#queue.refuseAll(fault);
  }
}

const AGAIN = { retryAfterMs: RETRY_MS };
