// Makes blocks of a link out of keys that a vendor's boxes have at both ends: the two KMs agree which keys make a block.
//
// Room `sources`: links whose key comes from boxes that know it by names of their own, not from modules that number it.
// Whoever owns the next block takes key of its box and names it to the other KM, which fetches it from its own; once that
// has it durable, the block exists, with run and sequence as any other. Its code is loaded where such a link is configured.
//
//     owner                                                  the other KM
//       offer <── box                                             │
//       │── 0x1103 {qkm_source_block, run, sequence, key_IDs} ───>│ fetch <── box, sealed, durable
//       │<───────────────────── 0x1104 success ───────────────────│
//     sealed, durable
//
// Blocks enter both inventories in the order of their sequences: of two that are offered at the same time, the one of the
// KM whose ID sorts first comes first, and the other is offered again. Proof that the two ends hold the same bits is
// that of every block: the tag of the first relay or pad that uses it.

import { asFault, Fault } from "../../core/fault.ts";
import { compareIds } from "../../core/ids.ts";
import type { Secret, SecretPool } from "../../core/memory/secret.ts";
import { pause } from "../../core/pause.ts";
import { type BlockPosition, isAfter } from "../common/block-position.ts";
import { outOfBounds, whyTooFar } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { SerialQueue } from "../common/queues/serial-queue.ts";
import type { BlockFeed, FedBlock } from "../links/intake.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { ExtensionEntry, PeerConnection } from "../ports/peers.ts";
import { BlockQueue } from "./block-feed.ts";
import { SeenNames } from "./seen-names.ts";
import { entryOfBlock, type OfferedBlock, readOfferedBlock } from "./source-entries.ts";

/** A vendor's box, as its driver gives it. Dispose ends what is asked of it. */
export interface KeyBox extends AsyncDisposable {
  /** @throws Fault */
  offer(into: Secret): Promise<BlockOffer>;
  /** @throws Fault */
  fetch(names: readonly string[], into: Secret, withinMs: number): Promise<void>;
}

interface BlockOffer {
  readonly names: readonly string[];
  /** @throws Fault */
  complete(): Promise<void>;
}

/** What an exchange is given. */
export interface ExchangeHost {
  readonly context: Pick<Context, "self" | "clock" | "log" | "meter">;
  readonly link: LinkInventory;
  /** The connection with the other KM, once the two have synchronised. */
  connection(): PeerConnection | undefined;
}

/** Boxes number nothing: a link of theirs has one run, until an operator begins it anew. */
const RUN = 1;
/** How long the other KM may take: its box may be asked again meanwhile. */
const FETCH_WITHIN_MS = 8000;
const ANSWER_WITHIN_MS = 15_000;
/** Looked at so often whether a block is wanted. */
const IDLE_MS = 100;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
/** How often the same key is offered when the other KM was quicker. */
const OFFERS = 8;

/** The blocks of one link, offered and taken; dispose ends both, and disposes the box. */
export class BlockExchange implements BlockFeed, AsyncDisposable {
  readonly #host: ExchangeHost;
  readonly #box: KeyBox;
  readonly #pool: SecretPool;
  readonly #queue = new BlockQueue();
  /** What is told and what is heard of blocks: one at a time, so that blocks enter in order. */
  readonly #turns = new SerialQueue();
  /** Of own blocks, and of the other KM's. */
  readonly #seen = new SeenNames();
  readonly #sortsFirst: boolean;
  readonly #stop = new AbortController();
  readonly #stopped = Promise.withResolvers<never>();
  #offering: Promise<void> | undefined;
  /** An offer of ours is on its way and not answered. */
  #isTelling = false;
  #heard = 0;
  /** The last position that either end has offered. */
  #last: BlockPosition | undefined;
  #pauseMs = 0;

  constructor(host: ExchangeHost, box: KeyBox, pool: SecretPool) {
    this.#host = host;
    this.#box = box;
    this.#pool = pool;
    this.#sortsFirst = compareIds(host.context.self, host.link.settings.peer) < 0;
    this.#stopped.promise.catch(() => {});
  }

  /** To one iterator; blocks are offered from then on. */
  blocks(): AsyncIterable<FedBlock> {
    this.#offering ??= this.#offerBlocks(this.#stop.signal);
    return this.#queue.blocks();
  }

  async #offerBlocks(signal: AbortSignal): Promise<void> {
    const { clock } = this.#host.context;
    while (!signal.aborted) {
      const secret = this.#isWanted ? this.#pool.take() : undefined;
      if (secret === undefined) await pause(clock, IDLE_MS, signal);
      else await this.#offerOne(secret, signal);
    }
  }

  /** Of our own blocks there are fewer than may be kept, and the other KM can be told of one. What stays in the box is not lost. */
  get #isWanted(): boolean {
    const { link, connection } = this.#host;
    const { keepBlocks } = link.settings;
    return (
      connection() !== undefined && link.agreement === "agreed" && link.ownShare > 0 && link.ownStored < keepBlocks
    );
  }

  async #offerOne(secret: Secret, signal: AbortSignal): Promise<void> {
    const { clock, log, meter, link } = { ...this.#host.context, link: this.#host.link };
    try {
      const offer = await this.#box.offer(secret);
      this.#checkNew(offer.names);
      await this.#agree(offer, secret);
      this.#pauseMs = 0;
    } catch (thrown) {
      secret[Symbol.dispose]();
      if (signal.aborted) return;
      const fault = asFault(thrown);
      if (fault.code === "INTERNAL") log.error({ link: link.settings.id, err: fault.cause }, "a box's driver failed");
      meter.add("source_blocks_failed", { link: link.settings.id, fault: fault.code });
      log.debug({ link: link.settings.id, fault: fault.response }, "no block was made of the box's keys");
      this.#pauseMs = Math.min(Math.max(FIRST_PAUSE_MS, 2 * this.#pauseMs), LONGEST_PAUSE_MS);
      await pause(clock, Math.max(this.#pauseMs, fault.retryAfterMs ?? 0), signal);
    }
  }

  /** A key makes one block. @throws Fault KEY_ID_TAKEN, with an alarm */
  #checkNew(names: readonly string[]): void {
    if (this.#seen.note(names)) return;
    const { log, meter } = this.#host.context;
    const alarm = "box_key_repeated";
    meter.add("alarms", { alarm });
    log.error(
      { alarm, link: this.#host.link.settings.id },
      "a box gave a key that it gave before: no block is made of it",
    );
    throw new Fault("KEY_ID_TAKEN", { text: "a key of the box made a block before" });
  }

  /** Offers the key until the other KM has it, and takes it here. @throws Fault */
  async #agree(offer: BlockOffer, secret: Secret): Promise<void> {
    for (let tried = 1; ; tried++) {
      try {
        return await this.#turns.run(() => this.#offered(offer, secret));
      } catch (thrown) {
        if (asFault(thrown).code !== "BUSY" || tried === OFFERS) throw thrown;
      }
    }
  }

  async #offered(offer: BlockOffer, secret: Secret): Promise<void> {
    const { link, connection } = this.#host;
    const position = this.#nextOwn();
    // Used whatever becomes of it: the other end may have it though its answer is lost.
    this.#last = position;
    await this.#tell(connection(), { link: link.settings.id, ...position, names: offer.names });
    await offer.complete();
    await this.#queue.put(position, secret);
  }

  /** @throws Fault of the other KM; BUSY when it offers one itself */
  async #tell(connection: PeerConnection | undefined, block: OfferedBlock): Promise<void> {
    if (connection === undefined) throw new Fault("PEER_UNAVAILABLE");
    this.#isTelling = true;
    try {
      await Promise.race([connection.tell([entryOfBlock(block)], ANSWER_WITHIN_MS), this.#stopped.promise]);
    } finally {
      this.#isTelling = false;
    }
  }

  /** The first position of ours behind all that either end has or had on its way. */
  #nextOwn(): BlockPosition {
    const { link } = this.#host;
    const { run, sequence } = this.#latest ?? { run: RUN, sequence: -1 };
    let next = sequence + 1;
    while (!link.owns(next)) next++;
    return { run, sequence: next };
  }

  get #latest(): BlockPosition | undefined {
    const { highest, heardTo } = this.#host.link;
    const believed = heardTo && whyTooFar(highest, heardTo) === undefined ? heardTo : undefined;
    return [this.#last, highest, believed].reduce((a, b) => (a && b ? (isAfter(a, b) ? a : b) : (a ?? b)), undefined);
  }

  /** A block that the other KM offers: resolves when it is durable here. @throws Fault, which becomes the 0x1104 */
  async heard(entry: ExtensionEntry): Promise<void> {
    const block = readOfferedBlock(entry);
    const { link } = this.#host;
    if (this.#isTelling && this.#sortsFirst) throw new Fault("BUSY", { text: "an own block is offered first" });
    if (this.#heard > 0) throw new Fault("PEER_UNAVAILABLE", { text: "the block before is not done" });
    if (!link.use.isOn) throw new Fault("PEER_UNAVAILABLE", { text: "an operator took the link out of use" });
    this.#heard++;
    try {
      await this.#turns.run(() => this.#taken(block));
    } finally {
      this.#heard--;
    }
  }

  async #taken({ run, sequence, names }: OfferedBlock): Promise<void> {
    const { link } = this.#host;
    const position = { run, sequence };
    if (link.owns(sequence)) throw new Fault("BLOCK_NOT_YOURS");
    const why = whyTooFar(link.highest, position);
    if (why !== undefined) throw outOfBounds(`link ${link.settings.id}: ${why}`);
    if (!link.isNew(position)) throw new Fault("BLOCK_USED", { text: "a later block of the link is here already" });
    const secret = this.#pool.take();
    if (secret === undefined) throw new Fault("PEER_UNAVAILABLE", { text: "blocks before it are not stored yet" });
    try {
      await this.#box.fetch(names, secret, FETCH_WITHIN_MS);
      this.#checkNew(names);
    } catch (thrown) {
      secret[Symbol.dispose]();
      throw thrown;
    }
    if (this.#last === undefined || isAfter(position, this.#last)) this.#last = position;
    await this.#queue.put(position, secret);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#stopped.reject(new Fault("STOPPING"));
    this.#queue[Symbol.dispose]();
    await this.#box[Symbol.asyncDispose]();
    await this.#offering;
    await this.#turns.idle();
  }
}
