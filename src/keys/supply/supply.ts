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
import type { Admission } from "../common/queues/admission.ts";
import { busyFault, RequestQueue } from "../common/queues/request-queue.ts";
import { stepped } from "../common/sizes.ts";
import type { Answer, SupplyRequest } from "../ports/keys.ts";
import { FreshRequests } from "./fresh-requests.ts";
import { type Grantor, KeyGrant } from "./grants.ts";
import type { NamedFor } from "./key-namer.ts";
import { kindsOf, takeOfKind, unmetFault } from "./provenance.ts";
import { Purposes } from "./purpose.ts";
import { type Demand, type KeyDemand, NO_DEMAND, type Piece, plus } from "./source-key.ts";
import type { SourceStock } from "./stock.ts";

/** `app` takes the turn and pays with its quota. */
interface QueuedRequest extends SupplyRequest {
  /** For whom the keys are named, when it is not `app` for `destination`: in a session. */
  readonly apps?: NamedFor;
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

const NOTHING = (): void => {};

/** Requests for the keys shared with one destination KM. */
export class KeySupplier implements Grantor<Piece> {
  readonly stock: SourceStock;
  readonly #context: Context;
  readonly #filling: Filling;
  readonly #purposes: Purposes;
  readonly #admission: Admission;
  readonly #queue: RequestQueue<QueuedRequest, KeyDemand>;
  /** Those for keys younger than there are. */
  readonly #fresh: FreshRequests;
  /** Of all that wait in the queue. */
  #total = NO_DEMAND;
  #preparing = false;
  /** Requests that have waited, and were served, refused or given up. */
  waited = 0;

  constructor(context: Context, stock: SourceStock, filling: Filling, admission: Admission) {
    this.#context = context;
    this.stock = stock;
    this.#filling = filling;
    this.#purposes = new Purposes({ source: context.self, destination: stock.peer }, stock.peer);
    this.#admission = admission;
    this.#fresh = new FreshRequests(context, stock, () => filling.kick());
    this.#queue = new RequestQueue(context, admission, {
      lateFault: (demand) => this.#timeoutFault(demand),
      joined: (demand) => this.#joined(demand),
      left: (demand) => this.#subtract(demand),
      pump: () => this.pump(),
    });
  }

  get waiting(): number {
    return this.#queue.size + this.#fresh.size;
  }

  /** Bytes that waiting requests ask for beyond what can be carved for them. */
  get missing(): number {
    const missing = this.stock.covers(this.#total) ? 0 : this.stock.lacking(this.#queue.wanted());
    return this.#fresh.size === 0 ? missing : missing + this.#fresh.missing;
  }

  /** Answers at once if the stock is at hand, refuses at once what cannot be in time, or lets it wait its turn. */
  request(request: QueuedRequest, answer: Answer): () => void {
    if (!this.#queue.admit(request, answer)) return NOTHING;
    const kinds = kindsOf(request);
    if (kinds.length === 0) return this.#begin(request, answer);
    return this.#choose(request, answer, kinds);
  }

  #begin(request: QueuedRequest, answer: Answer): () => void {
    const demand = demandOf(request);
    if (this.#queue.size === 0 && this.#serve(request, answer, demand)) return NOTHING;
    const fault = this.#hopeless(request.app, demand);
    if (fault !== undefined) return this.#queue.refuse(request, answer, fault);
    return this.#queue.wait(request, answer, demand);
  }

  /**
   * Keys of a kind: they are there, or the request goes on as if it did not mind, if it does not; else it waits for younger
   * ones where that can help, or is refused.
   */
  #choose(request: QueuedRequest, answer: Answer, kinds: readonly Provenance[]): () => void {
    let giveUp: (() => void) | undefined = () => {};
    this.#takeKind(request, answer, kinds).then(
      (isServed) => {
        if (isServed) return;
        if (giveUp === undefined) this.#queue.refund(request);
        else if (request.only === undefined) giveUp = this.#begin(request, answer);
        else giveUp = this.#waitForYounger(request, answer, kinds);
      },
      (thrown: unknown) => this.#queue.refuse(request, answer, asFault(thrown)),
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
    answer.granted(this.#grant(request, pieces, demand));
    this.#filling.taken();
    return true;
  }

  #waitForYounger(request: QueuedRequest, answer: Answer, kinds: readonly Provenance[]): () => void {
    const { count, step } = demandOf(request);
    const [only = {}] = kinds.slice(-1);
    const expectedMs = this.#filling.expectedMs(count * step) ?? 0;
    const fault = (): Fault => unmetFault(this.stock, only, this.#context.ages.now(), Math.max(SOONEST_MS, expectedMs));
    const obstacle = this.#filling.obstacle();
    const mayHelp = only.maxAgeMs !== undefined && this.stock.mayBring(only.routeType);
    if (obstacle !== undefined) return this.#queue.refuse(request, answer, obstacle);
    if (!mayHelp || expectedMs > this.#context.policy.timeoutMs) return this.#queue.refuse(request, answer, fault());
    if (this.#admission.isFull) return this.#queue.refuse(request, answer, busyFault());
    this.#admission.count(1);
    let waits = true;
    const ended = (): void => {
      if (!waits) return;
      waits = false;
      this.waited++;
      this.#admission.count(-1);
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
        this.#queue.refuse(request, answer, why);
      },
      late: fault,
    });
    return () => {
      if (!giveUp()) return;
      ended();
      this.#queue.refund(request);
    };
  }

  #serve(request: QueuedRequest, answer: Answer, demand: KeyDemand): boolean {
    if (this.#filling.obstacle() !== undefined) return false;
    const pieces = this.stock.take(demand);
    if (pieces === undefined) return false;
    this.#filling.taken();
    answer.granted(this.#grant(request, pieces, demand));
    return true;
  }

  #grant(request: QueuedRequest, pieces: readonly Piece[], { step }: KeyDemand): KeyGrant<Piece> {
    const { app, destination, door, sizeBits, apps } = request;
    const purpose = this.#purposes.of(door, app, apps?.initiator ?? app, apps?.target ?? destination);
    for (const { key, offset, count } of pieces) {
      const extent = { first: offset, end: offset + count * step, count };
      // rule: audit-supply
      this.#context.audit.note("keys_supplied", purpose.note(key.serial, sizeBits), extent);
    }
    return new KeyGrant(pieces, purpose, this);
  }

  /** The keys of a grant are written, or will not be. */
  ended({ count, pieces, purpose }: KeyGrant<Piece>, unwritten: number): void {
    const { audit, meter } = this.#context;
    for (const piece of pieces) this.stock.release(piece);
    meter.add("keys_supplied", purpose.labels, count - unwritten);
    if (unwritten === 0) return;
    const { app, door } = purpose;
    meter.add("keys_undelivered", { app }, unwritten);
    audit.note("keys_undelivered", { door, app, peer: this.stock.peer }, { count: unwritten });
  }

  /** A fault when the links cannot bring what is missing until its turn before the request times out. */
  #hopeless(app: AppId, demand: Demand): Fault | undefined {
    if (this.stock.covers(plus(this.#total, demand))) return undefined;
    const missing = this.stock.lacking([...this.#queue.ahead(app), demand]);
    if (missing === 0 || this.#filling.obstacle() !== undefined) return undefined;
    const expectedMs = this.#filling.expectedMs(missing);
    if (expectedMs === undefined || expectedMs <= this.#context.policy.timeoutMs) return undefined;
    return new Fault("INSUFFICIENT_KEYS", { retryAfterMs: Math.ceil(expectedMs) });
  }

  #timeoutFault({ count, step }: Demand): Fault {
    const obstacle = this.#filling.obstacle() ?? this.#filling.drought();
    if (obstacle !== undefined) return obstacle;
    const expectedMs = this.#filling.expectedMs(count * step) ?? this.#context.policy.timeoutMs;
    return new Fault("INSUFFICIENT_KEYS", { retryAfterMs: Math.max(SOONEST_MS, Math.ceil(expectedMs)) });
  }

  #joined(demand: Demand): void {
    this.#total = plus(this.#total, demand);
    // Behind others, and with key enough for all, it waits for marks alone: they are on their way, and pump when they have moved.
    if (this.#queue.size > 1 && this.stock.covers(this.#total)) return;
    this.pump();
  }

  #subtract({ count, step }: Demand): void {
    this.waited++;
    const { bytes, rest } = this.#total;
    this.#total = this.#queue.size === 0 ? NO_DEMAND : { bytes: bytes - count * step, rest };
  }

  /** Serves those whose turn has come; called whenever the stock or its obstacle has changed. */
  pump(): void {
    this.#fresh.pump();
    for (let next = this.#queue.head(); next !== undefined; next = this.#queue.head()) {
      if (this.#filling.obstacle() !== undefined) return;
      const { request, answer, wanted } = next;
      const pieces = this.stock.take(wanted);
      if (pieces === undefined) {
        this.#fill(wanted);
        return;
      }
      this.#queue.shift();
      answer.granted(this.#grant(request, pieces, wanted));
    }
    this.#filling.kick();
  }

  #fill(next: Demand): void {
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
    this.#queue.refuseAll(fault);
    this.#fresh.refuseAll(fault);
  }
}

const demandOf = ({ count, sizeBits }: SupplyRequest): KeyDemand => ({
  count,
  length: sizeBits / 8,
  step: stepped(sizeBits / 8),
});
