// Key relay as its source: how much is relayed to one destination, and when.

import { whyNotWorking } from "../common/availability.ts";
import { SERIALS_AHEAD } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { MAX_SERIAL } from "../common/key-id.ts";
import type { BlockScheduler, Claim, Claimant } from "../links/block-scheduler.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { FirstHop, RouteChoice } from "../routes/route-choice.ts";
import {
  type Fullness,
  isFilling,
  type LoadingRelay,
  type NextRelay,
  nextRelay,
  type RelayState,
} from "./next-relay.ts";
import { type LoadedHop, SourceRelay } from "./source-relay.ts";

/** Relays under way to one destination. */
const WINDOW = 8;

/** Fills the stock for one destination: takes blocks for the relay that is next, keeps a bounded number under way. */
export class SourceRelays implements Claimant {
  readonly #context: Context;
  readonly #peer: Peer;
  readonly #choice: RouteChoice;
  readonly #turnsOf: (link: LinkInventory) => BlockScheduler;
  readonly #underWay = new Set<Promise<void>>();
  /** Routes of the next relay, the blocks of those whose turn has come, and when they were chosen. */
  #loading: { readonly hops: readonly FirstHop[]; readonly loaded: LoadedHop[]; readonly sinceMs: number } | undefined;
  readonly #state: RelayState;
  #wasFilling = false;
  #isExhausted = false;
  #stopped = false;

  constructor(context: Context, peer: Peer, choice: RouteChoice, turnsOf: (link: LinkInventory) => BlockScheduler) {
    this.#context = context;
    this.#peer = peer;
    this.#choice = choice;
    this.#turnsOf = turnsOf;
    this.#state = this.#view();
  }

  /** Begins as many relays as are wanted and possible now. */
  kick(): void {
    if (this.#areSerialsSpent) this.#alarmExhausted();
    if (this.#loadingNow()?.isStale) this.#unload();
    const missing = nextRelay(this.#state, this.#choice)?.missing ?? [];
    for (const { link } of missing) this.#turnsOf(link).dispense();
  }

  claim(link: LinkInventory): Claim | undefined {
    const next = nextRelay(this.#state, this.#choice);
    const hop = next?.missing.find((one) => one.link === link);
    if (next === undefined || hop === undefined) return undefined;
    return { urgency: next.urgency, take: () => this.#take(next, hop) };
  }

  /** Everything that decides what is relayed next, as it is when it is looked at: made once, for it is looked at with each request. */
  #view(): RelayState {
    const peer = this.#peer;
    const context = this.#context;
    const fullness = (): Fullness => this.#fullness();
    const isAble = (): boolean => this.#isAble();
    const isAwaited = (): boolean => this.#isAwaited();
    const loading = (): LoadingRelay | undefined => this.#loadingNow();
    return {
      destination: peer.id,
      get total() {
        return fullness().total;
      },
      get stockLow() {
        return context.policy.stockLow;
      },
      get stockHigh() {
        return context.policy.stockHigh;
      },
      get wasFilling() {
        return fullness().wasFilling;
      },
      get isServed() {
        return peer.isServed;
      },
      get inFlight() {
        return peer.stock.inFlight;
      },
      get isAwaited() {
        return isAwaited();
      },
      get isAble() {
        return isAble();
      },
      get loading() {
        return loading();
      },
    };
  }

  #fullness(): Fullness {
    const { stock, keyBytes } = this.#peer;
    const { stockLow, stockHigh } = this.#context.policy;
    const total = Math.ceil(stock.bytes / keyBytes) + stock.inFlight;
    return { total, stockLow, stockHigh, wasFilling: this.#wasFilling };
  }

  #loadingNow(): LoadingRelay | undefined {
    const loading = this.#loading;
    if (loading === undefined) return undefined;
    const { clock, policy } = this.#context;
    const isOld = clock.monotonicMs() - loading.sinceMs >= policy.relayTimeoutMs;
    return { hops: loading.hops, loaded: loading.loaded, isStale: isOld || !this.#choice.areOpen(loading.hops) };
  }

  #isAble(): boolean {
    const { connection, isSynchronised, stock } = this.#peer;
    if (this.#stopped || connection === undefined || !isSynchronised || stock.inFlight >= WINDOW) return false;
    // What the destination has not been told of yet it would refuse.
    if (stock.nextSerial + stock.inFlight > stock.announced + SERIALS_AHEAD || this.#areSerialsSpent) return false;
    return whyNotWorking(this.#context) === undefined;
  }

  get #areSerialsSpent(): boolean {
    const { stock } = this.#peer;
    return stock.nextSerial + stock.inFlight > MAX_SERIAL;
  }

  /** Once in a life of the process. */
  #alarmExhausted(): void {
    if (this.#isExhausted) return;
    this.#isExhausted = true;
    const { id: peer, stock } = this.#peer;
    this.#context.meter.add("alarms", { alarm: "serials_exhausted" });
    this.#context.log.error(
      { alarm: "serials_exhausted", peer, next: stock.nextSerial, most: MAX_SERIAL },
      "all serials of KMA-keys for the peer are used up: no more is relayed to it until both ends are zeroised",
    );
  }

  #isAwaited(): boolean {
    const { stock, desk, keyBytes } = this.#peer;
    return desk.waiting > 0 && desk.missing > stock.inFlight * keyBytes;
  }

  /** Takes the next block of the link for one route of the relay that is next; false when there is none after all. */
  #take({ hops, loaded }: NextRelay, hop: FirstHop): boolean {
    // Chosen anew: the blocks taken for other routes go back.
    if (loaded.length === 0) this.#unload();
    const { link, first } = hop;
    const { connection } = first;
    const block = link.nextOwn();
    if (connection === undefined || block === undefined) return false;
    this.#loading ??= { hops, loaded: [], sinceMs: this.#context.clock.monotonicMs() };
    link.lend(block);
    this.#loading.loaded.push({ ...hop, block, connection });
    if (this.#loading.loaded.length === hops.length) this.#begin(this.#loading.loaded);
    return true;
  }

  #begin(hops: readonly LoadedHop[]): void {
    const relay = new SourceRelay(this.#context, this.#peer, this.#choice, hops);
    this.#loading = undefined;
    const { stock } = this.#peer;
    this.#wasFilling = isFilling(this.#fullness());
    stock.inFlight++;
    this.#wasFilling = isFilling(this.#fullness());
    // What has come into the stock is under way no more: counted twice, it would end the filling too soon.
    let isUnderWay = true;
    const landed = (): void => {
      if (isUnderWay) stock.inFlight--;
      isUnderWay = false;
    };
    const run = relay.run(landed).finally(() => {
      landed();
      for (const { link, block } of hops) link.settle(block.id);
      stock.relaysEnded++;
      this.#underWay.delete(run);
      this.#peer.desk.pump();
    });
    this.#underWay.add(run);
  }

  /** The routes are others now: the blocks taken for them go back. */
  #unload(): void {
    const loading = this.#loading;
    this.#loading = undefined;
    for (const { link, block } of loading?.loaded ?? []) link.putBack(block);
  }

  /** Begins no more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unload();
    await Promise.all(this.#underWay);
  }
}
