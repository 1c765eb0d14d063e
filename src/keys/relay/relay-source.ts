// Key relay as its source: how much is relayed to one destination, and when.

import { whyNotWorking } from "../common/availability.ts";
import { SERIALS_AHEAD } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { MAX_SERIAL } from "../common/key-id.ts";
import type { BlockScheduler, Claimant, Urgency } from "../links/block-scheduler.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { FirstHop, RouteChoice } from "../routes/route-choice.ts";
import { type LoadedHop, SourceRelay } from "./source-relay.ts";

/** Relays under way to one destination. */
const WINDOW = 8;

/** Fills the stock for one destination: plans relays, waits for their blocks, keeps a bounded number under way. */
export class SourceRelays implements Claimant {
  readonly #context: Context;
  readonly #peer: Peer;
  readonly #choice: RouteChoice;
  readonly #turnsOf: (link: LinkInventory) => BlockScheduler;
  readonly #underWay = new Set<Promise<void>>();
  /** Blocks of the next relay, of those routes whose turn has come, and all its routes. */
  #loaded: LoadedHop[] = [];
  #plan: readonly FirstHop[] = [];
  #plannedMs = 0;
  #filling = false;
  #isExhausted = false;
  #stopped = false;

  constructor(context: Context, peer: Peer, choice: RouteChoice, turnsOf: (link: LinkInventory) => BlockScheduler) {
    this.#context = context;
    this.#peer = peer;
    this.#choice = choice;
    this.#turnsOf = turnsOf;
  }

  /** Begins as many relays as are wanted and possible now. */
  kick(): void {
    for (const { link } of this.#missing()) this.#turnsOf(link).dispense();
  }

  /** Routes of the next relay that have no block yet; none when there is to be none now. */
  #missing(): readonly FirstHop[] {
    if (!this.#isWanted() || !this.#isAble()) return [];
    const { clock, policy } = this.#context;
    const isOld = clock.monotonicMs() - this.#plannedMs >= policy.relayTimeoutMs;
    if (isOld || !this.#choice.areOpen(this.#plan)) this.#unload();
    // Routes with blocks are not changed for the stock of a link: that changes with each block.
    if (this.#loaded.length === 0) {
      this.#plan = this.#choice.hops(this.#peer.id);
      this.#plannedMs = clock.monotonicMs();
    }
    // What is sent over a dry hop is lost on all the links before it.
    if (this.#peer.stock.inFlight > 0 && this.#choice.areDoubtful(this.#peer.id, this.#plan)) return [];
    return this.#plan.filter((hop) => !this.#loaded.some(({ route }) => route === hop.route));
  }

  /** Whether token, store and audit log are there: a relay that is begun without them costs a block. */
  #isAble(): boolean {
    const { connection, isSynchronised, stock } = this.#peer;
    if (this.#stopped || connection === undefined || !isSynchronised || stock.inFlight >= WINDOW) return false;
    // What the destination has not been told of yet it would refuse.
    if (stock.nextSerial + stock.inFlight > stock.announced + SERIALS_AHEAD) return false;
    return whyNotWorking(this.#context) === undefined;
  }

  /** First for those who wait, then from the low mark up to the high one. */
  #isWanted(): boolean {
    const { stock, keyBytes, isServed } = this.#peer;
    if (stock.nextSerial + stock.inFlight > MAX_SERIAL) return this.#alarmExhausted();
    if (this.#isAwaited()) return true;
    // In whole KMA-keys: rests that are too short for most requests are no stock.
    const total = Math.ceil(stock.bytes / keyBytes) + stock.inFlight;
    if (total < this.#context.policy.stockLow) this.#filling = true;
    if (total >= this.#context.policy.stockHigh) this.#filling = false;
    return this.#filling && isServed;
  }

  /** Once in a life of the process. */
  #alarmExhausted(): false {
    if (this.#isExhausted) return false;
    this.#isExhausted = true;
    const { id: peer, stock } = this.#peer;
    this.#context.meter.add("alarms", { alarm: "serials_exhausted" });
    this.#context.log.error(
      { alarm: "serials_exhausted", peer, next: stock.nextSerial, most: MAX_SERIAL },
      "all serials of KMA-keys for the peer are used up: no more is relayed to it until both ends are zeroised",
    );
    return false;
  }

  #isAwaited(): boolean {
    const { stock, desk, keyBytes } = this.#peer;
    return desk.waiting > 0 && desk.missing > stock.inFlight * keyBytes;
  }

  wants(link: LinkInventory): Urgency | undefined {
    if (!this.#missing().some((hop) => hop.link === link)) return undefined;
    return this.#isAwaited() ? "waiting" : "stock";
  }

  take(link: LinkInventory): boolean {
    const hop = this.#missing().find((one) => one.link === link);
    const block = link.nextOwn();
    const connection = hop?.first.connection;
    if (hop === undefined || connection === undefined || block === undefined) return false;
    link.lend(block);
    this.#loaded.push({ ...hop, block, connection });
    if (this.#loaded.length === this.#plan.length) this.#begin();
    return true;
  }

  #begin(): void {
    const hops = this.#loaded;
    const relay = new SourceRelay(this.#context, this.#peer, this.#choice, hops);
    this.#loaded = [];
    const { stock } = this.#peer;
    stock.inFlight++;
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
    const loaded = this.#loaded;
    this.#loaded = [];
    for (const { link, block } of loaded) link.putBack(block);
  }

  /** Begins no more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unload();
    await Promise.all(this.#underWay);
  }
}
