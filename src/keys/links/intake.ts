// From the module to the vault: each block sealed, durable, entered in the books, and only then acknowledged.

import type { EndReason } from "../../core/counters.ts";
import { asFault, type FaultCode } from "../../core/fault.ts";
import type { Secret } from "../../core/memory/secret.ts";
import type { Sealed } from "../../vault/vault.ts";
import { type BlockPosition, isAfter } from "../common/block-position.ts";
import type { Context } from "../common/context.ts";
import { linkBlock, TABLE } from "../common/rows.ts";
import { inSlices, PART } from "../common/slices.ts";
import type { LinkInventory, StoredBlock } from "./link-inventory.ts";

/** A block as a driver hands it over. */
export interface FedBlock {
  readonly run: number;
  readonly sequence: number;
  readonly key: Secret;
  acknowledge(): void;
}

/** The intake's side of a driver. */
export interface BlockFeed {
  blocks(): AsyncIterable<FedBlock>;
}

/** Blocks taken and not yet durable, per link. */
const PIPELINE = 32;
/** Those among them that the token is sealing: while it works on one, the next is on its way. Slots of a link bound it. */
const SEALING = 3;

/** The intake of one link: takes blocks of a driver until its signal ends it. */
export class Intake {
  readonly #context: Context;
  readonly #book: LinkInventory;
  readonly #entered: () => void;
  /** Ends when every block taken so far is durable and entered, in order. */
  #tail: Promise<void> = Promise.resolve();
  #pending = 0;
  #sealing = 0;
  /** Blocks that wait for token, store or audit log. */
  #waiting = 0;
  #done = 0;
  /** Why blocks wait, as the log was told. */
  #waitsFor: FaultCode | undefined;
  /** The last block whose commit was begun. */
  #newest: BlockPosition | undefined;
  /** The run before the link's last that an alarm was raised for. */
  #alarmedRun: number | undefined;
  #defect: { readonly thrown: unknown } | undefined;
  #room: (() => void) | undefined;

  /** `entered` is called after each block that is durable and in the book. */
  constructor(context: Context, book: LinkInventory, entered: () => void) {
    this.#context = context;
    this.#book = book;
    this.#entered = entered;
    this.#newest = book.settled;
  }

  /** Takes blocks until the feed or the signal ends. @throws whatever but a want of token or store ends it */
  async run(feed: BlockFeed, signal: AbortSignal): Promise<void> {
    for await (const block of feed.blocks()) {
      await this.#book.use.whenOn(signal);
      if (signal.aborted) return block.key[Symbol.dispose]();
      await this.#take(block, signal);
      this.#check();
    }
    await this.#tail;
    this.#check();
  }

  /** Blocks done with so far; undefined while none is at hand, or nothing can be done with it. */
  progress(): number | undefined {
    return this.#waiting > 0 || this.#pending === 0 ? undefined : this.#done;
  }

  #check(): void {
    if (this.#defect !== undefined) throw this.#defect.thrown;
  }

  async #take(block: FedBlock, signal: AbortSignal): Promise<void> {
    const refusal = this.#refusal(block);
    if (refusal !== undefined) {
      block.key[Symbol.dispose]();
      this.#context.meter.add(refusal, { link: this.#book.settings.id });
      if (refusal === "blocks_run_went_back") this.#alarmRun(block.run);
      block.acknowledge();
      return;
    }
    const { run, sequence } = block;
    const { settings } = this.#book;
    // An operator accepted a new module pair.
    if (this.#book.highest === undefined) this.#newest = undefined;
    this.#book.highest = { run, sequence };
    // rule: row-without-key
    const row = { link: settings.id, run, sequence, own: this.#book.owns(sequence) };
    this.#store(block, { ...row, id: linkBlock(settings.id, run, sequence) }, signal);
    while (this.#pending >= PIPELINE || this.#sealing >= SEALING) {
      await new Promise<void>((resolve) => (this.#room = resolve));
    }
  }

  #refusal({ key, ...place }: FedBlock): "blocks_refused" | "blocks_duplicate" | "blocks_run_went_back" | undefined {
    const { highest, settings } = this.#book;
    if (key.length !== settings.blockBytes) return "blocks_refused";
    if (this.#book.isNew(place)) return undefined;
    return highest !== undefined && place.run < highest.run ? "blocks_run_went_back" : "blocks_duplicate";
  }

  /** Once for each run: everything that the module brings is thrown away, though link and rate look well. */
  #alarmRun(run: number): void {
    if (run === this.#alarmedRun) return;
    this.#alarmedRun = run;
    const { highest, settings } = this.#book;
    this.#context.meter.add("alarms", { alarm: "run_went_back" });
    this.#context.log.error(
      { alarm: "run_went_back", link: settings.id, run, last: highest?.run },
      "the module brings blocks of an earlier run, which are dropped; if the pair is a new one, accept it at both ends with: qkm accept-module",
    );
  }

  /** Sealed and submitted beside those before it, so that commits are grouped; entered in order. */
  #store(block: FedBlock, stored: StoredBlock, signal: AbortSignal): void {
    this.#pending++;
    const durable = this.#keep(block, stored, signal).catch((thrown: unknown) => {
      this.#defect ??= { thrown };
      return undefined;
    });
    this.#tail = this.#tail.then(async () => {
      const done = await durable;
      this.#pending--;
      this.#done++;
      this.#room?.();
      if (done === undefined) return;
      this.#say(undefined);
      this.#enter(stored);
      block.acknowledge();
    });
  }

  /** Undefined when the signal ended it. */
  async #keep(block: FedBlock, stored: StoredBlock, signal: AbortSignal): Promise<true | undefined> {
    const sealed = await this.#seal(block, stored, signal);
    return sealed && (await this.#persist(() => this.#commit(stored, sealed), signal));
  }

  async #seal(block: FedBlock, { id }: StoredBlock, signal: AbortSignal): Promise<Sealed | undefined> {
    using key = block.key;
    this.#sealing++;
    try {
      return await this.#persist(() => this.#context.vault.seal(id, key), signal);
    } finally {
      this.#sealing--;
      this.#room?.();
    }
  }

  async #commit({ id, ...row }: StoredBlock, sealed: Sealed): Promise<true> {
    // A commit that is repeated may come after a later block's: the link's row never goes back.
    const newest = this.#newest !== undefined && isAfter(this.#newest, row) ? this.#newest : row;
    this.#newest = newest;
    const link = { run: newest.run, highest: newest.sequence };
    const change = this.#context.vault.change().keep(sealed).put(TABLE.block, id, row);
    await change.put(TABLE.link, row.link, link).commit();
    return true;
  }

  #enter(stored: StoredBlock): void {
    const { audit, clock, meter } = this.#context;
    const { settings } = this.#book;
    const labels = { link: settings.id };
    const isShared = this.#book.enter(stored);
    this.#book.settled = { run: stored.run, sequence: stored.sequence };
    this.#book.rate.arrived(clock.monotonicMs());
    meter.add("blocks_received", labels);
    meter.add("bytes_received", labels, settings.blockBytes);
    const { run, sequence } = stored;
    audit.note("blocks_stored", { link: settings.id, run }, { first: sequence, end: sequence + 1 });
    if (!isShared) endBlocks(this.#context, this.#book, [stored], "gap");
    // rule: drop-oldest
    const oldest = this.#book.overflow();
    if (oldest.length > 0) endBlocks(this.#context, this.#book, oldest, "overflow");
    this.#entered();
  }

  /** Repeats what fails for want of token, store or audit log until it is back; undefined when the signal ends it. */
  async #persist<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    while (!signal.aborted) {
      try {
        const obstacle = this.#context.audit.obstacle();
        if (obstacle !== undefined) throw obstacle;
        return await attempt();
      } catch (thrown) {
        const fault = asFault(thrown);
        if (fault.code === "INTERNAL") throw thrown;
        this.#say(fault.code);
        this.#waiting++;
        await this.#healthChange(signal);
        this.#waiting--;
      }
    }
    return undefined;
  }

  /** Once for all blocks that wait for the same. */
  #say(fault: FaultCode | undefined): void {
    if (fault === this.#waitsFor) return;
    this.#waitsFor = fault;
    const link = this.#book.settings.id;
    if (fault === undefined) this.#context.log.info({ link }, "intake goes on");
    else this.#context.log.warn({ link, fault }, "intake waits");
  }

  /** Waits for a change of the vault's health, or a while: whichever comes first. */
  #healthChange(signal: AbortSignal): Promise<void> {
    const { vault, clock, audit } = this.#context;
    return new Promise((resolve) => {
      const done = (): void => {
        stopTimer();
        stopListening();
        stopAudit();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const stopTimer = clock.after(RETRY_MS, done);
      const stopListening = vault.onHealth(done);
      const stopAudit = audit.onChange(done);
      signal.addEventListener("abort", done);
    });
  }

  /** Resolves when all that was taken so far is durable. */
  idle(): Promise<void> {
    return this.#tail;
  }
}

const RETRY_MS = 1000;

/**
 * Destroys link blocks unused, counted under their reason. Nobody finds them in the book any more; many go off the disk in
 * slices, unless they may have been used: those all at once.
 */
export function endBlocks(
  context: Context,
  book: LinkInventory,
  blocks: readonly StoredBlock[],
  reason: EndReason,
): void {
  for (const { id } of blocks) book.leave(id);
  const atOnce = reason === "restored" ? blocks.length : PART;
  const end = (part: readonly StoredBlock[]) => endSome(context, book, part, reason);
  end(blocks.slice(0, atOnce));
  if (blocks.length > atOnce) void inSlices(context, blocks.slice(atOnce), end);
}

function endSome(context: Context, book: LinkInventory, blocks: readonly StoredBlock[], reason: EndReason): void {
  if (blocks.length === 0) return;
  const { audit, log, meter, vault } = context;
  const { id: link } = book.settings;
  const change = vault.change();
  for (const { id, run, sequence } of blocks) {
    audit.note("blocks_ended", { link, run, reason }, { first: sequence, end: sequence + 1 });
    change.remove(TABLE.block, id).destroy(id);
  }
  // rule: count-ended
  meter.add("blocks_ended", { link, reason }, blocks.length);
  log.debug({ link, reason, blocks: blocks.map(({ id }) => id) }, "link blocks ended unused");
  change.commit().catch((err: unknown) => {
    log.warn({ link, err }, "ended link blocks are still on the disk");
  });
}
