// What is done beside the normal work: ageing, the saved clock, the turn of epochs, and the end.

import type { EndReason } from "../../core/counters.ts";
import type { BlockId, Range } from "../../vault/vault.ts";
import type { Borders } from "../borders/borders.ts";
import type { Context } from "../common/context.ts";
import { kmaRow, TABLE } from "../common/rows.ts";
import { stepped } from "../common/sizes.ts";
import { ENDED_US, inSlices, PART } from "../common/slices.ts";
import type { ReceivedKeys } from "../fetch/received-keys.ts";
import { endBlocks } from "../links/intake.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Multicast } from "../multicast/multicast.ts";
import type { Peer } from "../peers/peer.ts";
import type { StrictPeers } from "../strict/strict.ts";
import type { BundleInventory } from "../strict/strict-inventory.ts";
import type { SourceStock } from "../supply/stock.ts";

const TICK_MS = 1000;
const SAVE_CLOCK_MS = 10_000;
const RETRY_EPOCH_MS = 10_000;
/** What it costs about to see what a KM's stock lacks and over which route it comes. */
const KICK_US = 100;
/** Rows of the table `meta`. */
export const CLOCK_ROW = "clock";
/** ID of the row that holds the age of the present KEK epoch. */
export const EPOCH_ROW = "epoch";

/** Both directions with one KM. */
interface Pair {
  readonly stock: SourceStock;
  readonly held: ReceivedKeys;
}

/** The books that are kept in order. */
export interface Keeping {
  readonly local: Pair & { kick(): void };
  readonly peers: ReadonlyMap<string, Peer>;
  readonly links: ReadonlyMap<string, LinkInventory>;
  readonly strict: StrictPeers;
  readonly multicast: Multicast;
  /** To other networks, if this KM has any. */
  borders(): Borders | undefined;
}

/** Ageing, key rotation, the saved clock and the orderly end, in slices beside the normal work. */
export class Housekeeping {
  readonly #context: Context;
  readonly #books: Keeping;
  #stopTick: () => void = () => {};
  /** The tick under way. */
  #ticking: Promise<void> = Promise.resolve();
  #isStopped = false;
  #savedAt = Number.NEGATIVE_INFINITY;
  /** When the epoch began, by the age clock; undefined while a turn of epochs is under way. */
  #epochAt: number | undefined;
  /** After one that failed: an epoch that was cut off counts as spent, and would be tried each second. */
  #epochNotBefore = 0;

  constructor(context: Context, books: Keeping) {
    this.#context = context;
    this.#books = books;
  }

  start(): void {
    this.#stopTick = this.#context.clock.after(TICK_MS, () => {
      this.#ticking = this.#tick();
    });
  }

  #bundles(): BundleInventory[] {
    const { strict, multicast, borders } = this.#books;
    return [...strict.books(), ...multicast.copies.books(), ...(borders()?.books() ?? [])];
  }

  #sharedPeers(): Pair[] {
    return [this.#books.local, ...this.#books.peers.values()];
  }

  /** Ends what is too old or too much: before another KM is told what is held here, too. */
  async expire(): Promise<void> {
    const { ages, policy } = this.#context;
    const oldestOwn = ages.now() - policy.maxAgeMs;
    const oldestHeld = ages.nowOn() - policy.maxAgeMs - policy.fetchWindowMs;
    const shortBytes = stepped(policy.defaultKeyBits / 8);
    this.#books.strict.expire();
    this.#books.multicast.expire();
    this.#books.borders()?.expire(oldestHeld);
    for (const { stock, held } of this.#sharedPeers()) {
      await this.#untilDone(() => stock.tidy(oldestOwn, shortBytes, PART));
      // rule: keep-for-fetch-window
      await this.#untilDone(() => this.#expire(held, oldestHeld));
    }
    // What could not be taken off the disk when it was too much is back after a start.
    for (const link of this.#books.links.values()) endBlocks(this.#context, link, link.overflow(), "overflow");
  }

  /** Some at a time, when housekeeping has its turn, until there are no more. */
  async #untilDone(some: () => boolean): Promise<void> {
    for (let isDone = false; !isDone && !this.#isStopped; isDone = some()) {
      await this.#context.pace.take("housekeeping", PART * ENDED_US);
    }
  }

  async #tick(): Promise<void> {
    const { ages, log, pace } = this.#context;
    const now = ages.now();
    await this.expire();
    this.#books.local.kick();
    for (const peer of this.#books.peers.values()) {
      await pace.take("housekeeping", KICK_US);
      if (this.#isStopped) return;
      peer.kick();
    }
    this.#books.strict.kick();
    this.#turnEpoch(now);
    if (now - this.#savedAt >= SAVE_CLOCK_MS) {
      this.saveClock().catch((err: unknown) => log.warn({ err }, "the age of keys could not be saved"));
    }
    this.#context.beats?.housekeeping();
    if (!this.#isStopped) this.start();
  }

  /** The age at which the last epoch began, as saved. */
  restoreEpoch(ageMs: number): void {
    this.#epochAt = ageMs;
  }

  #turnEpoch(now: number): void {
    const { policy, vault, log, ages } = this.#context;
    if (this.#epochAt === undefined || now < this.#epochNotBefore) return;
    if (now - this.#epochAt < policy.epochMs && !vault.epochSpent) return;
    this.#epochAt = undefined;
    this.#makeUsedDurable()
      .then(() => vault.rotate(this.used()))
      .then(() =>
        vault
          .change()
          .put(TABLE.meta, EPOCH_ROW, { ...ages.saved() })
          .commit(),
      )
      .then(
        () => {
          this.#epochAt = ages.now();
        },
        (err: unknown) => {
          if (this.#isStopped) return;
          log.warn({ err }, "the epoch did not turn; it is tried again");
          this.#epochAt = ages.now() - policy.epochMs;
          this.#epochNotBefore = ages.now() + RETRY_EPOCH_MS;
        },
      );
  }

  /** What an epoch zeroes must be used on the disk too: a rejected commit may have left it used in memory alone. */
  async #makeUsedDurable(): Promise<void> {
    const { vault } = this.#context;
    for (const { held } of this.#sharedPeers()) {
      await inSlices(this.#context, [...held.keys()], async (part) => {
        const rows = vault.change();
        for (const key of part.filter((one) => held.get(one.serial) === one)) {
          rows.put(TABLE.held, kmaRow(held.peer, key.serial), held.row(key));
        }
        await rows.commit();
      });
    }
    for (const book of this.#bundles()) {
      await inSlices(this.#context, [...book.bundles], async (part) => {
        const rows = vault.change();
        for (const bundle of part.filter((one) => book.has(one))) book.write(bundle, rows);
        await rows.commit();
      });
    }
    const change = vault.change();
    for (const link of this.#books.links.values()) change.put(TABLE.pad, link.settings.id, link.padRow());
    await change.commit();
  }

  /** False when there may be more. */
  #expire(held: ReceivedKeys, oldestBorn: number): boolean {
    const old = [...held.keys()].filter((key) => key.bornAt <= oldestBorn);
    if (old.length === 0) return true;
    const change = this.#context.vault.change();
    held.end(old.slice(0, PART), "expired", change);
    change.commit().catch((err: unknown) => this.#context.log.warn({ err }, "expired KMA-keys are still on the disk"));
    return old.length <= PART;
  }

  async saveClock(): Promise<void> {
    const { ages, vault, beats } = this.#context;
    const saved = ages.saved();
    this.#savedAt = saved.ageMs;
    const change = vault.change().put(TABLE.meta, CLOCK_ROW, { ...saved });
    // A store that refuses is a fault, one that does not answer holds everything up.
    await change.commit().finally(() => beats?.store());
  }

  /** What of each block is used now, for the turn of an epoch. */
  used(): (block: BlockId) => readonly Range[] {
    const used = new Map<BlockId, () => readonly Range[]>();
    for (const { stock, held } of this.#sharedPeers()) {
      for (const key of stock.keys()) used.set(key.block, () => [{ offset: 0, length: key.carved }]);
      for (const key of held.keys()) used.set(key.block, () => key.used());
    }
    for (const { bundles } of this.#bundles()) {
      for (const bundle of bundles) used.set(bundle.block, () => bundle.used());
    }
    for (const link of this.#books.links.values()) {
      const { begun } = link.pads;
      if (begun !== undefined) used.set(begun.block.id, () => [{ offset: 0, length: begun.offset }]);
      for (const block of link.copies()) {
        if (link.padCopies.isBegun(block)) used.set(block.id, () => link.padCopies.usedOf(block));
      }
    }
    return (block) => used.get(block)?.() ?? [];
  }

  /** The store is a restored copy: all of it may have been used. */
  async destroyAll(reason: "restored"): Promise<void> {
    const { log, meter, vault } = this.#context;
    log.error(
      { alarm: reason },
      "this store is older than the token knows, a restored copy: all its keys are destroyed",
    );
    meter.add("alarms", { alarm: reason });
    const change = vault.change();
    for (const { stock, held } of this.#sharedPeers()) {
      stock.end(stock.keys(), reason, change);
      held.end(held.keys(), reason, change);
    }
    for (const link of this.#books.links.values()) {
      const pads = link.pads.giveBack();
      const { begun } = link.pads;
      link.pads.dropBegun();
      const blocks = [...link.own(), ...link.copies(), ...pads, ...(begun ? [begun.block] : [])];
      endBlocks(this.#context, link, blocks, reason);
    }
    await change.commit();
  }

  /** The wall clock went back: nobody knows how old the KMA-keys owned here are. */
  async retireOwned(): Promise<void> {
    const reason: EndReason = "clock";
    const { log, meter, vault } = this.#context;
    log.error({ alarm: reason }, "the wall clock is behind the last saved time: all KMA-keys owned here are retired");
    meter.add("alarms", { alarm: reason });
    const change = vault.change();
    for (const { stock } of this.#sharedPeers()) stock.end(stock.keys(), reason, change);
    await change.commit();
  }

  /** Writes marks and clock exactly. */
  async stop(): Promise<void> {
    this.#stopTick();
    this.#isStopped = true;
    await this.#ticking;
    await Promise.all(this.#sharedPeers().map(({ stock }) => stock.stop()));
    const change = this.#context.vault.change();
    for (const { stock } of this.#sharedPeers()) stock.settle(change);
    await change.put(TABLE.meta, CLOCK_ROW, { ...this.#context.ages.saved() }).commit();
  }
}
