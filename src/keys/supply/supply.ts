// Supply: requests for new keys, served at once from the stock or in turn when it is filled.
//
// Room `supply`: from KMA-keys to the answer of a request for new keys. A request passes the application's quota, waits in
// the fair queue while there is too little, and takes ranges off the open KMA-keys (`stock`, `source-key`) up to their durable
// high-water marks; `key-namer` makes the key IDs, `grants` carries the keys until they are written. Nothing leaves before
// the mark that covers it is durable, and nothing is consumed by a request that fails.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId } from "../../core/ids.ts";
import type { Provenance } from "../../core/topology/provenance.ts";
import type { Context } from "../common/context.ts";
import { FairQueue } from "../common/fair-queue.ts";
import { type Quotas, quotaFault } from "../common/quota.ts";
import { stepped } from "../common/sizes.ts";
import type { Answer, SupplyRequest } from "../ports.ts";
import { FreshRequests } from "./fresh-requests.ts";
import { grantPieces } from "./grants.ts";
import type { NamedFor } from "./key-namer.ts";
import { kindsOf, takeOfKind, unmetFault } from "./provenance.ts";
import { type Demand, NO_DEMAND, type Piece, plus } from "./source-key.ts";
import type { SourceStock } from "./stock.ts";

/** `app` takes the turn and pays with its quota. */
interface QueuedRequest extends SupplyRequest {
  /** For whom the keys are named, when it is not `app` for `destination`: in a session. */
  readonly apps?: NamedFor;
}

interface Waiting extends Demand {
  readonly request: QueuedRequest;
  readonly answer: Answer;
  readonly stopTimer: () => void;
}

/** How the stock of a destination is filled, as supply needs to know it. */
export interface Filling {
  /** Begins whatever relays may begin now. */
  kick(): void;
  /** Keys were taken off the stock, and nobody waits for more. */
  taken(): void;
  /** Milliseconds until `bytes` more will have come at the measured rate; undefined when no rate is known. */
  expectedMs(bytes: number): number | undefined;
  /** Why nothing can be carved now, if so. */
  obstacle(): Fault | undefined;
  /** Why no key comes in now, if so. */
  drought(): Fault | undefined;
}

/** Who has waited in vain is told to wait at least so long, even if key seems to be at hand. */
const SOONEST_MS = 1000;

/** Requests for the keys shared with one destination KM. */
export class KeySupplier {
  readonly stock: SourceStock;
  readonly #context: Context;
  readonly #filling: Filling;
  readonly #quotas: Quotas;
  readonly #waiting = new FairQueue<Waiting>();
  /** Those for keys younger than there are. */
  readonly #fresh: FreshRequests;
  /** Of all that wait. */
  #total = NO_DEMAND;
  #preparing = false;
  /** Requests that have waited, and were served, refused or given up. */
  waited = 0;

  constructor(context: Context, stock: SourceStock, filling: Filling, quotas: Quotas) {
    this.#context = context;
    this.stock = stock;
    this.#filling = filling;
    this.#quotas = quotas;
    this.#fresh = new FreshRequests(context, stock, () => filling.kick());
  }

  get waiting(): number {
    return this.#waiting.size + this.#fresh.size;
  }

  /** Bytes that waiting requests ask for beyond what can be carved for them. */
  get missing(): number {
    const missing = this.stock.covers(this.#total) ? 0 : this.stock.lacking(this.#waiting);
    return this.#fresh.size === 0 ? missing : missing + this.#fresh.missing;
  }

  /** Answers at once if the stock is at hand, refuses at once what cannot be in time, or lets it wait its turn. */
  request(request: QueuedRequest, answer: Answer, mayWait: boolean): () => void {
    const quotaMs = this.#quotas.take(request.app, request.count * request.sizeBits);
    if (quotaMs > 0) {
      answer.refused(quotaFault(quotaMs));
      return () => {};
    }
    const kinds = kindsOf(request);
    if (kinds.length === 0) return this.#begin(request, answer, mayWait);
    return this.#choose(request, answer, kinds, mayWait);
  }

  #begin(request: QueuedRequest, answer: Answer, mayWait: boolean): () => void {
    const demand = demandOf(request);
    if (this.#waiting.size === 0 && this.#serve(request, answer, demand)) return () => {};
    const fault = this.#hopeless(request.app, demand);
    if (fault !== undefined) return this.#refuseNow(request, answer, fault);
    if (!mayWait) return this.#refuseNow(request, answer, new Fault("BUSY", { retryAfterMs: 1000 }));
    return this.#wait(request, answer, demand);
  }

  #refuseNow({ app, count, sizeBits }: QueuedRequest, answer: Answer, fault: Fault): () => void {
    this.#quotas.refund(app, count * sizeBits);
    answer.refused(fault);
    return () => {};
  }

  /**
   * Keys of a kind: they are there, or the request goes on as if it did not mind, if it does not; else it waits for younger
   * ones where that can help, or is refused.
   */
  #choose(request: QueuedRequest, answer: Answer, kinds: readonly Provenance[], mayWait: boolean): () => void {
    let giveUp: (() => void) | undefined = () => {};
    this.#takeKind(request, answer, kinds).then(
      (isServed) => {
        if (isServed) return;
        if (giveUp === undefined) this.#quotas.refund(request.app, request.count * request.sizeBits);
        else if (request.only === undefined) giveUp = this.#begin(request, answer, mayWait);
        else giveUp = this.#waitForYounger(request, answer, kinds, mayWait);
      },
      (thrown: unknown) => this.#refuseNow(request, answer, asFault(thrown)),
    );
    return () => {
      giveUp?.();
      giveUp = undefined;
    };
  }

  async #takeKind(request: QueuedRequest, answer: Answer, kinds: readonly Provenance[]): Promise<boolean> {
    if (this.#filling.obstacle() !== undefined) return false;
    const demand = demandOf(request);
    const pieces = await takeOfKind(this.stock, demand, kinds, this.#context.ages.now());
    if (pieces === undefined) return false;
    answer.granted(this.#grant(request, pieces, demand.step));
    this.#filling.taken();
    return true;
  }

  #waitForYounger(request: QueuedRequest, answer: Answer, kinds: readonly Provenance[], mayWait: boolean): () => void {
    const { count, step } = demandOf(request);
    const [only = {}] = kinds.slice(-1);
    const expectedMs = this.#filling.expectedMs(count * step) ?? 0;
    const fault = (): Fault => unmetFault(this.stock, only, this.#context.ages.now(), Math.max(SOONEST_MS, expectedMs));
    const obstacle = this.#filling.obstacle();
    const mayHelp = only.maxAgeMs !== undefined && this.stock.mayBring(only.routeType);
    if (obstacle !== undefined) return this.#refuseNow(request, answer, obstacle);
    if (!mayHelp || expectedMs > this.#context.policy.timeoutMs) return this.#refuseNow(request, answer, fault());
    if (!mayWait) return this.#refuseNow(request, answer, new Fault("BUSY", { retryAfterMs: 1000 }));
    const ended = (): void => {
      this.waited++;
    };
    const giveUp = this.#fresh.wait({
      bytes: count * step,
      serve: async () => {
        const isServed = await this.#takeKind(request, answer, kinds);
        if (isServed) ended();
        return isServed;
      },
      refuse: (why) => {
        ended();
        this.#refuseNow(request, answer, why);
      },
      late: fault,
    });
    return () => {
      if (!giveUp()) return;
      ended();
      this.#quotas.refund(request.app, request.count * request.sizeBits);
    };
  }

  #serve(request: QueuedRequest, answer: Answer, demand: Demand): boolean {
    if (this.#filling.obstacle() !== undefined) return false;
    const pieces = this.stock.take(demand);
    if (pieces === undefined) return false;
    this.#filling.taken();
    answer.granted(this.#grant(request, pieces, demand.step));
    return true;
  }

  #grant(request: QueuedRequest, pieces: readonly Piece[], step: number) {
    const { self, meter, audit } = this.#context;
    const { peer } = this.stock;
    const { app, destination, door, sizeBits } = request;
    const apps = request.apps ?? { initiator: app, target: destination };
    const { initiator, target } = apps;
    for (const { key, offset, count } of pieces) {
      const fields = { door, initiator, target, peer, serial: key.serial, bits: sizeBits };
      // rule: audit-supply
      audit.note("keys_supplied", fields, { first: offset, end: offset + count * step, count });
    }
    const parties = { source: self, destination: peer, ...apps };
    return grantPieces(pieces, sizeBits / 8, step, parties, (unwritten) => {
      for (const piece of pieces) this.stock.release(piece);
      meter.add("keys_supplied", { app, door }, request.count - unwritten);
      if (unwritten === 0) return;
      meter.add("keys_undelivered", { app }, unwritten);
      audit.note("keys_undelivered", { door, app, peer }, { count: unwritten });
    });
  }

  /** A fault when the links cannot bring what is missing until its turn before the request times out. */
  #hopeless(app: AppId, demand: Demand): Fault | undefined {
    if (this.stock.covers(plus(this.#total, demand))) return undefined;
    const missing = this.stock.lacking([...this.#waiting.ahead(app), demand]);
    if (missing === 0 || this.#filling.obstacle() !== undefined) return undefined;
    const expectedMs = this.#filling.expectedMs(missing);
    if (expectedMs === undefined || expectedMs <= this.#context.policy.timeoutMs) return undefined;
    return new Fault("INSUFFICIENT_KEYS", { retryAfterMs: Math.ceil(expectedMs) });
  }

  #wait(request: SupplyRequest, answer: Answer, demand: Demand): () => void {
    const { clock, policy } = this.#context;
    const stopTimer = clock.after(policy.timeoutMs, () => {
      // rule: answer-at-timeout
      this.#refuse(entry, this.#timeoutFault(demand));
      this.pump();
    });
    const entry: Waiting = { request, answer, stopTimer, ...demand };
    this.#waiting.add(request.app, entry);
    this.#total = plus(this.#total, demand);
    this.pump();
    return () => {
      // Whoever waited behind it may be served now.
      if (this.#drop(entry)) this.pump();
    };
  }

  #timeoutFault({ count, step }: Demand): Fault {
    const obstacle = this.#filling.obstacle() ?? this.#filling.drought();
    if (obstacle !== undefined) return obstacle;
    const expectedMs = this.#filling.expectedMs(count * step) ?? this.#context.policy.timeoutMs;
    return new Fault("INSUFFICIENT_KEYS", { retryAfterMs: Math.max(SOONEST_MS, Math.ceil(expectedMs)) });
  }

  #refuse(entry: Waiting, fault: Fault): void {
    this.#drop(entry);
    entry.answer.refused(fault);
  }

  /** False when it does not wait any more. */
  #drop(entry: Waiting): boolean {
    const { app, count, sizeBits } = entry.request;
    entry.stopTimer();
    if (!this.#waiting.remove(app, entry)) return false;
    this.#subtract(entry);
    this.#quotas.refund(app, count * sizeBits);
    return true;
  }

  #subtract({ count, step }: Demand): void {
    this.waited++;
    const { bytes, rest } = this.#total;
    this.#total = this.#waiting.size === 0 ? NO_DEMAND : { bytes: bytes - count * step, rest };
  }

  /** Serves those whose turn has come; called whenever the stock or its obstacle has changed. */
  pump(): void {
    this.#fresh.pump();
    for (let next = this.#waiting.head(); next !== undefined; next = this.#waiting.head()) {
      if (this.#filling.obstacle() !== undefined) return;
      const pieces = this.stock.take(next);
      if (pieces === undefined) {
        this.#fill(next);
        return;
      }
      this.#waiting.shift();
      this.#subtract(next);
      next.stopTimer();
      next.answer.granted(this.#grant(next.request, pieces, next.step));
    }
    this.#filling.kick();
  }

  #fill(next: Waiting): void {
    this.#filling.kick();
    if (this.#preparing) return;
    if (!this.stock.covers(plus(NO_DEMAND, next)) && this.stock.lacking([next]) > 0) return;
    this.#preparing = true;
    this.stock
      .prepare(next, () => {
        this.#preparing = false;
        this.pump();
      })
      .catch((thrown: unknown) => {
        this.#preparing = false;
        this.refuseAll(asFault(thrown));
      });
  }

  /** Ends the waiting of all, for example when the token is gone or the process stops. */
  refuseAll(fault: Fault): void {
    for (const entry of [...this.#waiting]) this.#refuse(entry, fault);
    this.#fresh.refuseAll(fault);
  }
}

const demandOf = ({ count, sizeBits }: SupplyRequest): Demand => ({ count, step: stepped(sizeBits / 8) });
