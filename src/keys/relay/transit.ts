// Key relay on its way through this KM: out of one hop's protection, under the next one's, and the answer back.

import { asFault, Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { BlockId, OpenBlock, OpenJob } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { kmaSerial } from "../common/key-id.ts";
import type { Segment } from "../links/own-pads.ts";
import { countPadsLost, notePads } from "../links/pad-audit.ts";
import type { Leave, PadChain } from "../links/pad-queue.ts";
import type { Peer } from "../peers/peer.ts";
import type { PeerConnection, RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import { answerMs, failedAt, padMs, type RelayHop } from "../routes/relay-route.ts";
import { type Incoming, TAG_PAD } from "./relay-incoming.ts";
import { dropPads, padJob, protect, takePads } from "./relay-outgoing.ts";

/** Relays of others under way here: of all, and of one predecessor. */
const MAX_TRANSITS = 128;
const MAX_OF_PEER = 32;

/** The KMs that may come next. */
export interface NextHops {
  readonly peers: ReadonlyMap<KmId, Peer>;
  /** The pads of that link with a neighbour that has most. */
  chainTo(neighbour: KmId): PadChain | undefined;
}

/** A key on its way out. */
interface Passage {
  readonly offer: RelayOffer;
  readonly incoming: Incoming;
  readonly next: Peer;
  readonly peer: PeerConnection;
  readonly chain: PadChain;
  /** When the hop before stops waiting, by the monotonic clock. */
  readonly untilMs: number;
}

/** In an object, so that nobody waits for the answer who only waits for the sending. */
interface Sent {
  readonly answer: Promise<RelayConfirmation>;
}

/** Relays on their way through this KM; bounded as a whole and for each peer. */
export class Transits {
  readonly #context: Context;
  readonly #hops: NextHops;
  readonly #underWay = new Map<KmId, number>();

  constructor(context: Context, hops: NextHops) {
    this.#context = context;
    this.#hops = hops;
  }

  /** Passes a key on; what it came in is used or destroyed, whatever happens. @throws Fault with the hop that failed */
  async pass(from: Peer, offer: RelayOffer, relayHop: RelayHop, incoming: Incoming): Promise<RelayConfirmation> {
    const { audit, meter } = this.#context;
    const labels = { from: from.id, to: nextOf(relayHop) };
    const isBusy = this.#isBusy(from.id);
    this.#count(from.id, 1);
    try {
      const { answer } = isBusy ? await this.#refuse(incoming) : await this.#send(offer, relayHop, incoming);
      const confirmation = await answer.catch((thrown: unknown) => {
        throw failedAt(asFault(thrown), labels.to);
      });
      meter.add("transits", labels);
      const serial = kmaSerial(offer.keyId);
      const extent = serial === undefined ? {} : { first: serial, end: serial + 1 };
      audit.note("relay_passed", { ...labels, source: offer.source, destination: offer.destination }, extent);
      return confirmation;
    } catch (thrown) {
      const failed = { ...labels, fault: asFault(thrown).code };
      meter.add("transits_failed", failed);
      const { source, destination, keyId } = offer;
      audit.note("relay_failed", { ...failed, source, destination, serial: kmaSerial(keyId) });
      throw thrown;
    } finally {
      this.#count(from.id, -1);
    }
  }

  #isBusy(from: KmId): boolean {
    const all = this.#underWay.values().reduce((sum, count) => sum + count, 0);
    return all >= MAX_TRANSITS || (this.#underWay.get(from) ?? 0) >= MAX_OF_PEER;
  }

  #count(from: KmId, more: 1 | -1): void {
    const count = (this.#underWay.get(from) ?? 0) + more;
    if (count > 0) this.#underWay.set(from, count);
    else this.#underWay.delete(from);
  }

  async #refuse(incoming: Incoming): Promise<never> {
    const busy = new Fault("BUSY", { text: "too many key relays are under way here" });
    await this.#lose(incoming, busy);
    throw busy;
  }

  /** Sends it on under pads of the next hop. @throws Fault when nothing was sent */
  async #send(offer: RelayOffer, relayHop: RelayHop, incoming: Incoming): Promise<Sent> {
    const { policy, clock } = this.#context;
    const state = { isUsed: false };
    const used = (): void => {
      state.isUsed = true;
    };
    try {
      const untilMs = clock.monotonicMs() + answerMs(relayHop, policy.relayTimeoutMs);
      const passage = { offer, incoming, untilMs, ...this.#wayOut(nextOf(relayHop)) };
      const job = (pads: readonly Segment[]) => this.#forward(passage, pads, used);
      return await passage.chain.use(incoming.length + TAG_PAD, padMs(relayHop, policy.relayTimeoutMs), job);
    } catch (thrown) {
      if (!state.isUsed) await this.#lose(incoming, asFault(thrown));
      throw thrown;
    }
  }

  /** @throws Fault PEER_UNAVAILABLE */
  #wayOut(to: KmId): Pick<Passage, "next" | "peer" | "chain"> {
    const next = this.#hops.peers.get(to);
    const chain = this.#hops.chainTo(to);
    if (next?.connection === undefined || !next.isSynchronised || chain === undefined) throw unavailable(to);
    return { next, peer: next.connection, chain };
  }

  /** Incoming and outgoing ranges are used in one transaction, before anything is masked. `used` is called with it. */
  async #forward(passage: Passage, pads: readonly Segment[], used: () => void): Promise<Leave<Sent>> {
    const { incoming, chain } = passage;
    const { vault } = this.#context;
    using memory = new DisposableStack();
    const open = memory.use(await this.#open(passage, pads));
    const key = incoming.open(open, TRANSIT);
    if (key === undefined) throw new Fault("BAD_TAG");
    this.#checkOpen(passage);
    const change = vault.change();
    takePads(chain.link, pads, change);
    incoming.use(change, false);
    used();
    const durable = change.commit();
    // Whoever waits for it meets its failure.
    durable.catch(() => {});
    const held = memory.move();
    return async () => {
      using _held = held;
      await this.#committed(passage, pads, durable);
      return this.#relay(passage, pads, key, open);
    };
  }

  async #open({ incoming, chain: { link } }: Passage, pads: readonly Segment[]): Promise<OpenJob> {
    const asked = incoming.job;
    const job = { ...asked, blocks: [...asked.blocks, ...padJob(link, pads)] };
    return await this.#context.vault.openJob(job).catch((thrown: unknown) => {
      // Whichever record is damaged, the next key must not meet it again.
      if (asFault(thrown).code === "INTERNAL") dropPads(this.#context, link, pads, "unreadable");
      throw thrown;
    });
  }

  /** The pads are good on the connection that they were taken for, and a late key is of no use. @throws Fault */
  #checkOpen({ next, peer, untilMs }: Passage): void {
    if (next.connection !== peer) throw unavailable(next.id);
    if (this.#context.clock.monotonicMs() >= untilMs) throw new Fault("RELAY_TIMEOUT");
  }

  /** The pads are taken, whether or not anything leaves under them. @throws Fault when nothing may */
  async #committed(passage: Passage, pads: readonly Segment[], durable: Promise<void>): Promise<void> {
    const { meter } = this.#context;
    const bytes = passage.incoming.length + TAG_PAD;
    const labels = { link: passage.chain.link.settings.id, direction: "out" } as const;
    try {
      await durable;
      this.#checkOpen(passage);
    } catch (thrown) {
      countPadsLost(this.#context, { ...labels, reason: "given_up" }, bytes);
      throw thrown;
    }
    meter.add("pad_bytes", labels, bytes);
    notePads(this.#context, "out", pads, passage.offer);
    passage.chain.link.padBytes.out += bytes;
  }

  #relay(
    { offer, incoming, peer, chain, untilMs }: Passage,
    pads: readonly Segment[],
    key: OpenBlock,
    open: OpenJob,
  ): Sent {
    const { clock, log, meter } = this.#context;
    const masked = protect(key, offer, pads, open.blocks.slice(incoming.job.blocks.length));
    const { source, destination, keyId } = offer;
    log.debug({ source, destination, keyId, to: peer.id, pads: masked.protection.pads }, "a key is passed on");
    meter.add("kma_keys_relayed", { link: chain.link.settings.id });
    const answer = peer.relay({ ...offer, ...masked }, untilMs - clock.monotonicMs()).catch((thrown: unknown) => {
      if (isNotHeld(asFault(thrown), peer.id)) chain.between(() => dropPads(this.#context, chain.link, pads, "gap"));
      throw thrown;
    });
    return { answer };
  }

  async #lose(incoming: Incoming, { code }: Fault): Promise<void> {
    const change = this.#context.vault.change();
    incoming.lose(change, code === "BAD_TAG" ? "mismatch" : "given_up");
    await change.commit();
  }
}

/** What it is called in memory; it is never kept. */
const TRANSIT = "transit" as BlockId;

/**
 * Whether the next hop itself lacks a block that was named: what is begun of it is old, the next hop destroys old blocks
 * first, and the next key would meet the same.
 */
const isNotHeld = ({ code, failedAt }: Fault, next: KmId): boolean =>
  code === "BLOCK_NOT_HELD" && (failedAt === undefined || failedAt === next);

const nextOf = ({ path, at }: RelayHop): KmId => path[at + 1] as KmId;

const unavailable = (to: KmId): Fault => new Fault("PEER_UNAVAILABLE", { failedAt: to });
