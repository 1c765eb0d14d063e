// One key relay at its source: a block of each route's first link, named; kept as a KMA-key when both ends are proved equal.

import type { EndReason } from "../../core/counters.ts";
import { asFault, Fault, type FaultCode } from "../../core/fault.ts";
import type { OpenBlock, OpenJob } from "../../vault/vault.ts";
import { ANNOUNCE_EVERY, SERIALS_AHEAD } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { kmaKeyId, MAX_SERIAL } from "../common/key-id.ts";
import { combinedBlock, type KeyRoute, kmaRow, TABLE } from "../common/rows.ts";
import { endBlocks } from "../links/intake.ts";
import type { StoredBlock } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { PeerConnection, RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import type { FirstHop, RouteChoice } from "../routes/route-choice.ts";
import { SourceKey } from "../supply/source-key.ts";
import { areSameTags, endContext, linkContext } from "./relay-tags.ts";

/**
 * Refusals after which the destination has nothing of the serial, and never will: one that was full, or without its audit
 * log, would take the same relay if it were repeated.
 */
const NOTHING_KEPT: readonly FaultCode[] = ["BLOCK_NOT_HELD", "BLOCK_USED", "BLOCK_NOT_YOURS", "NOT_ON_ROUTE"];

/** What a relay costs here about, with its two commits. */
const RELAY_US = 200;

/** A route and the block that goes over it: the KMA-key, or one part of it. */
export interface LoadedHop extends FirstHop {
  readonly block: StoredBlock;
  /** The connection with the first hop. */
  readonly connection: PeerConnection;
}

/** How it ended on one route. */
interface Outcome {
  readonly hop: LoadedHop;
  readonly fault: Fault | undefined;
}

/** One relay at its source, from reserved blocks to a ready KMA-key or an abandoned serial. */
export class SourceRelay {
  readonly #context: Context;
  readonly #peer: Peer;
  readonly #choice: RouteChoice;
  readonly #hops: readonly LoadedHop[];
  /** The connection with the destination: its state exchange knows of what is proved while it stands. */
  readonly #direct: PeerConnection | undefined;
  readonly #begunMs: number;

  constructor(context: Context, peer: Peer, choice: RouteChoice, hops: readonly LoadedHop[]) {
    this.#context = context;
    this.#peer = peer;
    this.#choice = choice;
    this.#hops = hops;
    this.#direct = peer.connection;
    this.#begunMs = context.clock.monotonicMs();
  }

  /** Ends with the KMA-key in the stock, and `landed` called as it comes there, or with all that it was made of given up or given back. */
  async run(landed: () => void): Promise<void> {
    let key: SourceKey | undefined;
    let isReserved = false;
    let outcomes: readonly Outcome[] = [];
    try {
      await this.#context.pace.take("kx", RELAY_US);
      const blocks = this.#hops.map(({ block }) => ({ block: block.id }));
      using open = await this.#context.vault.openJob({ blocks, emptySlots: this.#route === "multipath" ? 1 : 0 });
      const serial = this.#nextSerial();
      const whole = this.#whole(open, serial);
      key = await this.#sourceKey(whole, serial);
      await this.#reserve(key, whole);
      isReserved = true;
      const offers = this.#offers(key, open.blocks);
      const endTag = whole.endTag(endContext(first(offers)));
      open[Symbol.dispose]();
      outcomes = await Promise.all(this.#hops.map((hop, at) => this.#relay(hop, first(offers.slice(at)), endTag)));
      const fault = worst(outcomes, this.#peer.id);
      if (fault !== undefined) throw fault;
      await this.#ready(key, first(offers), landed);
      this.#note(outcomes);
    } catch (thrown) {
      const fault = asFault(thrown);
      const failed = outcomes.some((outcome) => outcome.fault !== undefined);
      if (key !== undefined) this.#note(failed ? outcomes : this.#hops.map((hop) => ({ hop, fault })));
      if (key !== undefined) await this.#giveUp(key, fault, isReserved);
      else this.#putBack(fault);
      this.#blame(failed ? outcomes : this.#hops.map((hop) => ({ hop, fault })));
    }
  }

  /** A destination believes in no serial far above what was announced to it. */
  #nextSerial(): number {
    const { stock } = this.#peer;
    const serial = stock.nextSerial++;
    if (serial - stock.announced >= ANNOUNCE_EVERY) this.#peer.announceSoon();
    return serial;
  }

  #skipSerials(): void {
    const { stock } = this.#peer;
    stock.nextSerial = Math.min(stock.nextSerial + SERIALS_AHEAD, MAX_SERIAL + 1);
    this.#peer.announceSoon();
  }

  get #route(): KeyRoute {
    if (this.#hops.length > 1) return "multipath";
    return this.#hops[0]?.route.length === 0 ? "direct" : "relayed";
  }

  /** The KMA-key: the block, or the XOR of several. */
  #whole({ blocks, emptySlots }: OpenJob, serial: number): OpenBlock {
    return emptySlots[0]?.combine(combinedBlock(this.#peer.id, serial), blocks) ?? first(blocks);
  }

  async #sourceKey(whole: OpenBlock, serial: number): Promise<SourceKey> {
    const { key: idKey, sealed } = await whole.keyIdKey();
    const { block, length } = whole;
    const row = { serial, block, length, bornAt: this.#context.ages.now(), route: this.#route };
    return new SourceKey(row, idKey, sealed);
  }

  /** Nothing derived from the blocks leaves before this is durable. */
  async #reserve(key: SourceKey, whole: OpenBlock): Promise<void> {
    const { stock } = this.#peer;
    const change = this.#context.vault.change();
    for (const { block } of this.#hops) change.remove(TABLE.block, block.id);
    if (this.#route === "multipath") {
      for (const { block } of this.#hops) change.destroy(block.id);
      change.keep(await whole.seal());
    }
    if (key.sealed !== undefined) change.keep(key.sealed);
    change.put(TABLE.source, kmaRow(stock.peer, key.serial), stock.sourceRow(key, "reserved", 0));
    await change.put(...this.#peer.peerRow()).commit();
    this.#context.audit.note("kma_key_made", {
      peer: stock.peer,
      serial: key.serial,
      route: this.#route,
      blocks: this.#hops.map(({ block: { link, run, sequence } }) => `${link}:${run}:${sequence}`).join(),
      via: this.#hops.map(({ route }) => route.join(" ")).join(),
      bytes: key.length,
    });
  }

  #offers(key: SourceKey, open: readonly OpenBlock[]): RelayOffer[] {
    const { self, random, meter } = this.#context;
    const { stock } = this.#peer;
    const request = { requestId: random.hex(8), source: self, destination: stock.peer, keyId: kmaKeyId(key.serial) };
    meter.add("kma_keys_sent", { peer: stock.peer });
    return this.#hops.map(({ route, block: { link, run, sequence } }, at) => {
      const way = { ...request, transit: route };
      const tag = first(open.slice(at)).hopTag(linkContext(way, { link, run, sequence }));
      return {
        ...way,
        protection: { scheme: "link", link, run, sequence, tag },
        key: NO_BYTES,
        ...(this.#hops.length > 1 && { part: { part: at + 1, parts: this.#hops.length } }),
        // Announced directly when KMs are between, who might change it.
        givenUp: this.#route === "direct" ? `${stock.givenUp}` : "",
      };
    });
  }

  async #relay(hop: LoadedHop, offer: RelayOffer, endTag: Uint8Array): Promise<Outcome> {
    try {
      if (hop.connection !== hop.first.connection) throw new Fault("PEER_UNAVAILABLE");
      const { keyId, tag }: RelayConfirmation = await hop.connection.relay(offer, this.#context.policy.relayTimeoutMs);
      if (keyId !== offer.keyId || !areSameTags(tag, endTag)) throw new Fault("BAD_TAG", { failedAt: this.#peer.id });
      return { hop, fault: undefined };
    } catch (thrown) {
      return { hop, fault: asFault(thrown) };
    }
  }

  async #ready(key: SourceKey, { givenUp }: RelayOffer, landed: () => void): Promise<void> {
    const { vault, meter, audit } = this.#context;
    const { stock } = this.#peer;
    stock.givenUp.told(givenUp);
    stock.proved = Math.max(stock.proved, key.serial);
    const change = vault.change().put(TABLE.source, kmaRow(stock.peer, key.serial), stock.sourceRow(key, "ready", 0));
    await change.put(...this.#peer.peerRow()).commit();
    // The state exchange of a newer connection knew nothing of it.
    if (this.#direct === undefined || this.#direct !== this.#peer.connection) throw new Fault("PEER_UNAVAILABLE");
    stock.add(key);
    landed();
    meter.add("kma_keys_ready", { peer: stock.peer });
    audit.note("kma_keys_ready", { peer: stock.peer }, { first: key.serial, end: key.serial + 1 });
    for (const { path } of this.#hops) this.#choice.succeeded(path);
  }

  #note(outcomes: readonly Outcome[]): void {
    const { clock, relayLog } = this.#context;
    const ms = clock.monotonicMs() - this.#begunMs;
    for (const { hop, fault } of outcomes) {
      const how = { outcome: fault?.code ?? ("ready" as const), failedAt: fault?.failedAt };
      relayLog.note({ destination: this.#peer.id, route: hop.route, ...how, ms });
    }
  }

  /** Nothing was done with the blocks: they go back into the books, unless they cannot be read. */
  #putBack(fault: Fault): void {
    for (const { link, block } of this.#hops) {
      if (fault.code === "INTERNAL") endBlocks(this.#context, link, [block], "unreadable");
      else link.putBack(block);
    }
  }

  /**
   * The KMA-key is destroyed, and its serial told to the destination if that may have kept it. Never a second try. A serial
   * that is not durable is not told: after a crash the destination would know of more than this end, as of a restored copy.
   */
  async #giveUp(key: SourceKey, fault: Fault, isReserved: boolean): Promise<void> {
    const { audit, log, vault } = this.#context;
    const { stock } = this.#peer;
    const { code, failedAt } = fault;
    const reason = reasonOf(code);
    const { serial, block } = key;
    log.warn({ peer: stock.peer, serial, block, fault: code, failedAt, reason }, "a key relay was given up");
    audit.note("relay_given_up", { peer: stock.peer, serial, fault: code, failed_at: failedAt });
    // Whoever used the serial, a KM on the way or this one before its store was lost, may have used those above it, too.
    if (code === "SERIAL_SEEN") this.#skipSerials();
    const mayBeKept = this.#route === "multipath" || !NOTHING_KEPT.includes(code);
    if (isReserved && mayBeKept) stock.givenUp.add(serial);
    const change = vault.change().put(...this.#peer.peerRow());
    stock.drop(key, reason, change);
    await change.commit().catch((err: unknown) => {
      log.warn({ peer: stock.peer, serial, err }, "a KMA-key given up is still on the disk");
    });
    if (this.#route !== "direct") this.#peer.announceAbandoned();
  }

  /** A connection that was replaced meanwhile says nothing of its hop. */
  #blame(outcomes: readonly Outcome[]): void {
    for (const { hop, fault } of blamed(outcomes, this.#peer.id)) {
      const isReplaced = this.#direct !== this.#peer.connection || hop.connection !== hop.first.connection;
      if (fault.code === "PEER_UNAVAILABLE" && isReplaced) continue;
      this.#context.meter.add("relays_refused", { peer: this.#peer.id, direction: "out", fault: fault.code });
      this.#choice.failed(hop.path, fault);
    }
  }
}

const NO_BYTES = new Uint8Array(0);

function first<T>([item]: readonly T[]): T {
  if (item === undefined) throw new Error("a relay has at least one route");
  return item;
}

/** Of several parts those that failed, but not those that only waited at the destination for another. */
function blamed(
  outcomes: readonly Outcome[],
  destination: string,
): { readonly hop: LoadedHop; readonly fault: Fault }[] {
  const failed = outcomes.flatMap(({ hop, fault }) => (fault === undefined ? [] : [{ hop, fault }]));
  const named = failed.filter(({ fault }) => fault.code !== "RELAY_TIMEOUT" || fault.failedAt !== destination);
  return named.length > 0 && outcomes.length > 1 ? named : failed;
}

/** What failed, if anything did. */
const worst = (outcomes: readonly Outcome[], destination: string): Fault | undefined =>
  blamed(outcomes, destination)[0]?.fault;

function reasonOf(code: FaultCode): EndReason {
  if (code === "BAD_TAG") return "mismatch";
  return code === "BLOCK_NOT_HELD" ? "gap" : "given_up";
}
