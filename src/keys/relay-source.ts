// Key relay as its source: names a link block to the other KM, and keeps it as a KMA-key when both ends are proved equal.

import type { EndReason } from "../core/counters.ts";
import { asFault, Fault, type FaultCode } from "../core/fault.ts";
import { inRuns, parseRuns } from "../core/runs.ts";
import type { OpenBlock } from "../vault/vault.ts";
import { sameBytes } from "./bytes.ts";
import type { Context } from "./context.ts";
import { endBlocks } from "./intake.ts";
import { kmaKeyId, MAX_SERIAL } from "./key-id.ts";
import type { LinkBook, StoredBlock } from "./link-book.ts";
import type { Peer, RelayOffer } from "./ports.ts";
import type { RelayResult } from "./relay-log.ts";
import { endContext, linkContext } from "./relay-tags.ts";
import type { Remote } from "./remote.ts";
import { kmaRow, TABLE } from "./rows.ts";
import { SourceKey } from "./source-key.ts";

/** Relays under way to one destination. */
const WINDOW = 8;
const BACK_OFF_MS = { first: 1000, most: 60_000 } as const;
/** Refusals that say something of one block only: the next relay need not wait. */
const OF_THE_BLOCK: readonly FaultCode[] = ["BAD_TAG", "BLOCK_NOT_HELD", "BLOCK_USED", "SERIAL_SEEN"];
/** Refusals after which the destination surely has nothing of the serial. */
const NOTHING_KEPT: readonly FaultCode[] = [
  "BLOCK_NOT_HELD",
  "BLOCK_USED",
  "BLOCK_NOT_YOURS",
  "STORE_FULL",
  "NOT_ON_ROUTE",
];

export class SourceRelays {
  readonly #context: Context;
  readonly #remote: Remote;
  readonly #underWay = new Set<Promise<void>>();
  #filling = false;
  #stopped = false;
  #backOffMs: number = BACK_OFF_MS.first;
  #stopBackOff: (() => void) | undefined;

  constructor(context: Context, remote: Remote) {
    this.#context = context;
    this.#remote = remote;
  }

  /** Begins as many relays as are wanted and possible now. */
  kick(): void {
    const { peer, phase } = this.#remote;
    if (this.#stopped || peer === undefined || phase !== "synchronised" || this.#stopBackOff !== undefined) return;
    while (this.#remote.stock.inFlight < WINDOW && this.#wanted() && this.#isAble()) {
      const next = this.#nextBlock();
      if (next === undefined) return;
      next.link.leave(next.block.id);
      this.#remote.stock.inFlight++;
      const relay = this.#relay(peer, next.link, next.block).finally(() => {
        this.#remote.stock.inFlight--;
        this.#underWay.delete(relay);
        this.#remote.desk.pump();
      });
      this.#underWay.add(relay);
    }
  }

  /** Whether token and store are there: a relay that is begun without them costs a block. */
  #isAble(): boolean {
    const { token, store } = this.#context.vault.health();
    return token === "ready" && store === "ready";
  }

  /** First for those who wait, then from the low mark up to the high one. */
  #wanted(): boolean {
    const { stock, desk, keyBytes } = this.#remote;
    if (stock.nextSerial + stock.inFlight > MAX_SERIAL) return false;
    if (desk.waiting > 0 && desk.missing > stock.inFlight * keyBytes) return true;
    // In whole KMA-keys: rests that are too short for most requests are no stock.
    const total = Math.ceil(stock.bytes / keyBytes) + stock.inFlight;
    if (total < this.#context.policy.stockLow) this.#filling = true;
    if (total >= this.#context.policy.stockHigh) this.#filling = false;
    return this.#filling;
  }

  /** From the link that has most. */
  #nextBlock(): { link: LinkBook; block: StoredBlock } | undefined {
    const [link] = [...this.#remote.links].sort((a, b) => b.usable - a.usable);
    const block = link?.nextOwn();
    return link && block && { link, block };
  }

  async #relay(peer: Peer, link: LinkBook, block: StoredBlock): Promise<void> {
    const begun = this.#context.clock.monotonicMs();
    let key: SourceKey | undefined;
    try {
      using open = await this.#context.vault.open(block.id);
      key = await this.#sourceKey(open);
      const { offer, endTag } = await this.#reserve(key, block, open);
      open[Symbol.dispose]();
      const { keyId, tag } = await peer.relay(offer, this.#context.policy.relayTimeoutMs);
      if (keyId !== offer.keyId || !sameBytes(tag, endTag)) throw new Fault("BAD_TAG");
      await this.#ready(key, offer, peer);
      this.#note("ready", undefined, begun);
    } catch (thrown) {
      const fault = asFault(thrown);
      if (key !== undefined) this.#note(fault.code, fault.failedAt, begun);
      if (key !== undefined) await this.#giveUp(key, fault);
      else this.#putBack(link, block, fault);
      if (peer === this.#remote.peer || fault.code !== "PEER_UNAVAILABLE") this.#refused(fault);
    }
  }

  #note(outcome: RelayResult["outcome"], failedAt: string | undefined, begun: number): void {
    const { clock, relayLog } = this.#context;
    relayLog.note({ destination: this.#remote.id, route: [], outcome, failedAt, ms: clock.monotonicMs() - begun });
  }

  /** Nothing was done with the block: it goes back into the books, unless it cannot be read. */
  #putBack(link: LinkBook, block: StoredBlock, fault: Fault): void {
    if (fault.code === "INTERNAL") endBlocks(this.#context, link, [block], "unreadable");
    else link.putBack(block);
  }

  /** A serial for the block, and its key-ID key. */
  async #sourceKey(open: OpenBlock): Promise<SourceKey> {
    const { key: idKey, sealed } = await open.keyIdKey();
    const serial = this.#remote.stock.nextSerial++;
    const { block, length } = open;
    return new SourceKey({ serial, block, length, bornAt: this.#context.ages.now() }, idKey, sealed);
  }

  /** Makes the reservation durable, then the tags: nothing derived from the block leaves before. */
  async #reserve(
    key: SourceKey,
    block: StoredBlock,
    open: OpenBlock,
  ): Promise<{ offer: RelayOffer; endTag: Uint8Array }> {
    const { self, vault, random, meter } = this.#context;
    const { stock } = this.#remote;
    const change = vault.change().remove(TABLE.block, block.id);
    if (key.sealed !== undefined) change.keep(key.sealed);
    change.put(TABLE.source, kmaRow(stock.peer, key.serial), stock.sourceRow(key, "reserved", 0));
    await change.put(...this.#remote.peerRow()).commit();
    const keyId = kmaKeyId(key.serial);
    const route = { requestId: random.hex(8), source: self, destination: stock.peer, transit: [], keyId };
    const named = { link: block.link, run: block.run, sequence: block.sequence };
    const tag = open.hopTag(linkContext(route, named));
    meter.add("kma_keys_sent", { peer: stock.peer });
    const offer = {
      ...route,
      protection: { scheme: "link" as const, ...named, tag },
      key: new Uint8Array(0),
      givenUp: stock.peerRow().givenUp,
    };
    return { offer, endTag: open.endTag(endContext(route)) };
  }

  async #ready(key: SourceKey, offer: RelayOffer, peer: Peer): Promise<void> {
    const { vault, meter } = this.#context;
    const { stock } = this.#remote;
    const isTold = inRuns(parseRuns(offer.givenUp));
    for (const serial of stock.givenUp) if (isTold(serial)) stock.givenUp.delete(serial);
    stock.proved = Math.max(stock.proved, key.serial);
    const change = vault.change().put(TABLE.source, kmaRow(stock.peer, key.serial), stock.sourceRow(key, "ready", 0));
    await change.put(...this.#remote.peerRow()).commit();
    // The state exchange of a newer connection knew nothing of it.
    if (peer !== this.#remote.peer) throw new Fault("PEER_UNAVAILABLE");
    this.#backOffMs = BACK_OFF_MS.first;
    stock.add(key);
    meter.add("kma_keys_ready", { peer: stock.peer });
  }

  /** The KMA-key is destroyed, and its serial told to the destination if that may have kept it. Never a second try. */
  async #giveUp(key: SourceKey, fault: Fault): Promise<void> {
    const { log } = this.#context;
    const { stock } = this.#remote;
    const reason = reasonOf(fault.code);
    log.warn(
      { peer: stock.peer, serial: key.serial, block: key.block, fault: fault.code, reason },
      "a key relay was given up",
    );
    if (!NOTHING_KEPT.includes(fault.code)) stock.noteGivenUp(key.serial);
    const change = this.#context.vault.change().put(...this.#remote.peerRow());
    stock.drop(key, reason, change);
    await change.commit().catch((err: unknown) => {
      log.warn({ peer: stock.peer, serial: key.serial, err }, "a KMA-key given up is still on the disk");
    });
  }

  #refused(fault: Fault): void {
    const { clock, meter } = this.#context;
    meter.add("relays_refused", { peer: this.#remote.id, direction: "out", fault: fault.code });
    if (OF_THE_BLOCK.includes(fault.code) || this.#stopped || this.#stopBackOff !== undefined) return;
    this.#stopBackOff = clock.after(this.#backOffMs, () => {
      this.#stopBackOff = undefined;
      this.kick();
    });
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS.most);
  }

  /** A new connection: what was refused before may go now. */
  reset(): void {
    this.#stopBackOff?.();
    this.#stopBackOff = undefined;
    this.#backOffMs = BACK_OFF_MS.first;
  }

  /** Begins no more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.reset();
    await Promise.all(this.#underWay);
  }
}

function reasonOf(code: FaultCode): EndReason {
  if (code === "BAD_TAG") return "mismatch";
  return code === "BLOCK_NOT_HELD" ? "gap" : "given_up";
}
