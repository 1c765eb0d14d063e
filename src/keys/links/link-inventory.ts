// The books of one QKD link: which blocks are stored, whose they are, and which the other end has too.
//
// Room `links`: the blocks of the QKD links. `intake` takes them from a driver into vault and inventory; `link-inventory`
// knows each block's owner and whether the other end has it; `block-scheduler` gives a link's next own block to whoever is
// due; own blocks that serve as one-time pads leave in order (`own-pads`, `pad-queue`), the other end's are taken in order
// (`received-pads`). A block serves as pad or becomes a KMA-key, for life. This room never sees a key byte, nor a peer.

import { compareIds, type KmId, type LinkId } from "../../core/ids.ts";
import type { BlockId } from "../../vault/vault.ts";
import { type BlockPosition, isAfter, type PadMark } from "../common/block-position.ts";
import { type BlockRow, linkBlock, type PadRow } from "../common/rows.ts";
import { ArrivalRate } from "./arrival-rate.ts";
import { LinkAdmin } from "./link-admin.ts";
import { PadStream } from "./own-pads.ts";
import { PadCopies } from "./received-pads.ts";

/** A link as it is configured; share and block size must be the same at both ends. */
export interface LinkSettings {
  readonly id: LinkId;
  readonly peer: KmId;
  /** Bytes. */
  readonly blockBytes: number;
  /** Parts of the KM whose ID sorts first, and of the other. */
  readonly share: readonly [number, number];
  /** Own blocks kept at most; the oldest go. Of the other end's somewhat more, so that it destroys first what it owns. */
  readonly keepBlocks: number;
}

/** A block of the link that is durable here, with its row. */
export interface StoredBlock extends BlockRow {
  readonly id: BlockId;
}

/** What the other end says of the blocks that we own. */
export interface Announcements {
  readonly upTo: BlockPosition;
  /** Whether it speaks of that position. */
  covers(position: BlockPosition): boolean;
  holds(position: BlockPosition): boolean;
  /** The last of what it holds, at most so many, ascending. */
  held(most: number): readonly BlockPosition[];
}

/** `unverified` until the peer has told its settings; `refused` when they differ from ours, or while out of use. */
export type Agreement = "unverified" | "agreed" | "refused";

/** The blocks of one link, own and the other end's, and how far its pads are used. */
export class LinkInventory {
  /** Whether an operator lets it be used. */
  readonly use = new LinkAdmin();
  /** Whether the configuration still has it: while not, no block of it is used. */
  isConfigured = true;
  /** Own blocks that serve as pads; they are in no other book. */
  readonly pads: PadStream;
  /** How far the other end's blocks served as pads. */
  readonly padCopies: PadCopies;
  /** Bytes that served as pads since the start, of what left here and of what came in. */
  readonly padBytes = { out: 0, in: 0 };
  /** How often blocks come. */
  readonly rate = new ArrivalRate();
  /** The last block that the module brought. */
  highest: BlockPosition | undefined;
  /** The last block that is durable here, with all before it. */
  settled: BlockPosition | undefined;
  /** What the peer told of it that is too far from what the module has brought: the link stays unused until that is near. */
  disbelieved: BlockPosition | undefined;
  /** How many of our blocks the peer keeps at least; where it keeps fewer than we would, we destroy them first. */
  keptAtPeer = Number.POSITIVE_INFINITY;
  /** How far the peer was told which of its blocks have arrived here. */
  announcedTo: BlockPosition | undefined;
  readonly #sortsFirst: boolean;
  /** Oldest first. Of our own, those in `#confirmed` are known to be at the other end too. */
  #own = new Map<BlockId, StoredBlock>();
  readonly #copies = new Map<BlockId, StoredBlock>();
  #confirmed = new Map<BlockId, StoredBlock>();
  /** The one that was confirmed last; while none before it is newer, they are in order. */
  #lastConfirmed: StoredBlock | undefined;
  #isInOrder = true;
  /** In the order in which they were confirmed; some have left `#confirmed` since. */
  #latest: BlockId[] = [];
  /** Our blocks that the other end holds and that have not come here yet, in order. */
  readonly #awaited = new Map<BlockId, BlockPosition>();
  /** How far the other end told what it holds. */
  #heardTo: BlockPosition | undefined;
  readonly #lent = new Set<BlockId>();
  #agreement: Agreement = "unverified";
  #settings: LinkSettings;

  constructor(self: KmId, settings: LinkSettings) {
    this.#settings = settings;
    this.pads = new PadStream(settings.blockBytes);
    this.padCopies = new PadCopies(this, settings.blockBytes);
    this.#sortsFirst = compareIds(self, settings.peer) < 0;
  }

  get settings(): LinkSettings {
    return this.#settings;
  }

  /** Whether another configuration speaks of this link, or of another one by its name. */
  fits({ peer, blockBytes }: LinkSettings): boolean {
    return peer === this.#settings.peer && blockBytes === this.#settings.blockBytes;
  }

  /** Takes settings that fit; false when they are the same. Blocks that are here keep their owner. */
  configure(settings: LinkSettings): boolean {
    const { keepBlocks, share } = this.#settings;
    this.#settings = settings;
    return keepBlocks !== settings.keepBlocks || share.join() !== settings.share.join();
  }

  get agreement(): Agreement {
    return this.use.isOn && this.isConfigured ? this.#agreement : "refused";
  }

  set agreement(found: Agreement) {
    this.#agreement = found;
  }

  /** Whether a block of this sequence is ours to decide on. */
  owns(sequence: number): boolean {
    const [first, second] = this.settings.share;
    return sequence % (first + second) < first === this.#sortsFirst;
  }

  /** The part of the link's blocks that is ours, 0 to 1. */
  get ownShare(): number {
    const [first, second] = this.settings.share;
    return (this.#sortsFirst ? first : second) / (first + second);
  }

  isNew(position: BlockPosition): boolean {
    return this.highest === undefined || isAfter(position, this.highest);
  }

  /** Enters a block that is durable; false when it is ours and the other end told that it does not hold it. */
  enter(block: StoredBlock): boolean {
    (block.own ? this.#own : this.#copies).set(block.id, block);
    const isAwaited = this.#awaited.has(block.id);
    for (const [id, position] of this.#awaited) {
      if (isAfter(position, block)) break;
      this.#awaited.delete(id);
    }
    if (!block.own) return true;
    if (isAwaited) this.#confirm(block);
    return isAwaited || this.#heardTo === undefined || isAfter(block, this.#heardTo);
  }

  /** Takes all blocks out of the books, pads among them, and forgets how far pads have gone. */
  restart(): readonly StoredBlock[] {
    const blocks = [...this.#own.values(), ...this.#copies.values(), ...this.pads.restart()];
    for (const { id } of blocks) this.leave(id);
    this.unconfirm();
    this.padCopies.restart();
    this.disbelieved = undefined;
    return blocks;
  }

  /** The module pair is another: what it brings begins anew, at whatever run. */
  forgetModule(): void {
    this.highest = undefined;
    this.settled = undefined;
    this.announcedTo = undefined;
  }

  /** Takes a block out of the books: it is used or destroyed. */
  leave(id: BlockId): void {
    this.#own.delete(id);
    this.#copies.delete(id);
    this.#confirmed.delete(id);
  }

  /** Takes a block out of the books for a relay that is under way until `settle`: its name is still in somebody's hands. */
  lend(block: StoredBlock): void {
    this.leave(block.id);
    this.#lent.add(block.id);
  }

  /** The relay has ended, well or not. */
  settle(id: BlockId): void {
    this.#lent.delete(id);
  }

  /** Whether blocks are out for relays that have not ended. */
  get isLending(): boolean {
    return this.#lent.size > 0;
  }

  /** Returns an own block whose use was not begun. */
  putBack(block: StoredBlock): void {
    this.settle(block.id);
    const newest = [...this.#own.values()].at(-1);
    this.#own.set(block.id, block);
    if (newest !== undefined && isAfter(newest, block)) this.#own = inOrder(this.#own);
    this.#confirm(block);
  }

  find(position: BlockPosition): StoredBlock | undefined {
    const id = linkBlock(this.settings.id, position.run, position.sequence);
    return this.#own.get(id) ?? this.#copies.get(id);
  }

  /** The newest own block that the other end has too: the oldest may just be destroyed there, for want of room. */
  nextOwn(): StoredBlock | undefined {
    if (this.agreement !== "agreed") return undefined;
    for (let id = this.#latest.at(-1); id !== undefined; id = this.#latest.at(-1)) {
      const block = this.#confirmed.get(id);
      if (block !== undefined) return block;
      this.#latest.pop();
    }
    return undefined;
  }

  #confirm(block: StoredBlock): void {
    if (this.#lastConfirmed !== undefined && isAfter(this.#lastConfirmed, block)) this.#isInOrder = false;
    this.#lastConfirmed = block;
    this.#confirmed.set(block.id, block);
    this.#latest.push(block.id);
    if (this.#latest.length > 2 * this.settings.keepBlocks) this.#latest = [...this.#confirmed.keys()];
  }

  /** The oldest confirmed own block that may still become pad. */
  nextPad(): StoredBlock | undefined {
    if (this.agreement !== "agreed") return undefined;
    if (!this.#isInOrder) this.#sortConfirmed();
    return this.#confirmed.values().find((block) => this.pads.isAhead(block));
  }

  /** A block that was given back stands behind newer ones. */
  #sortConfirmed(): void {
    this.#confirmed = inOrder(this.#confirmed);
    this.#lastConfirmed = [...this.#confirmed.values()].at(-1);
    this.#isInOrder = true;
  }

  /** At a start, before the blocks: how far pads had gone. */
  restorePads(row: PadRow): void {
    const { ownRun, ownSequence, ownOffset, seenRun, seenSequence, seenOffset } = row;
    const own = markOf(ownRun, ownSequence, ownOffset);
    const seen = markOf(seenRun, seenSequence, seenOffset);
    if (own !== undefined) this.pads.raise(own);
    if (seen !== undefined) this.padCopies.restore(seen);
  }

  /** At a start: enters a block that is stored. Of which a part was pad, that stays one. */
  restore(block: StoredBlock): void {
    if (block.own && this.pads.isBegun(block)) this.pads.grant(block);
    else this.enter(block);
  }

  /** How far pads have gone in both directions, as it has to be kept. */
  padRow(): PadRow {
    const [own, seen] = [this.pads.mark, this.padCopies.mark];
    return {
      ...(own && { ownRun: own.run, ownSequence: own.sequence, ownOffset: own.offset }),
      ...(seen && { seenRun: seen.run, seenSequence: seen.sequence, seenOffset: seen.offset }),
    };
  }

  /** Blocks to destroy: the oldest of more own ones than `keepBlocks`, and of somewhat more copies. */
  overflow(): StoredBlock[] {
    const { keepBlocks } = this.settings;
    const copies = this.#copies.size - keepBlocks - Math.ceil(keepBlocks / SLACK);
    // The other end goes on with the block in which its pads begin, however old that is.
    const own = this.#own.size - Math.min(keepBlocks, this.keptAtPeer);
    return [...oldest(this.#own, own), ...oldest(this.#copies, copies)].filter(
      (block) => !this.padCopies.isInUse(block.id) && !this.padCopies.isBegun(block),
    );
  }

  /** What the other end was known to hold may be gone: it tells anew. */
  unconfirm(): void {
    this.#confirmed.clear();
    this.#lastConfirmed = undefined;
    this.#isInOrder = true;
    this.#latest = [];
    this.#awaited.clear();
    this.#heardTo = undefined;
  }

  /** The other end tells which of our blocks it holds: they are confirmed, some before they are here. Returns what it lacks. */
  hear({ upTo, covers, holds, held }: Announcements): StoredBlock[] {
    if (this.#heardTo === undefined || isAfter(upTo, this.#heardTo)) this.#heardTo = upTo;
    const { id, keepBlocks } = this.settings;
    for (const position of held(keepBlocks)) {
      if (this.settled !== undefined && !isAfter(position, this.settled)) continue;
      this.#awaited.set(linkBlock(id, position.run, position.sequence), position);
    }
    for (const awaited of this.#awaited.keys()) {
      if (this.#awaited.size <= keepBlocks) break;
      this.#awaited.delete(awaited);
    }
    const reached = [...this.#own.values()].filter(covers);
    for (const block of reached) if (holds(block)) this.#confirm(block);
    return reached.filter((block) => !holds(block));
  }

  /** Blocks that this end may decide to use. */
  own(): Iterable<StoredBlock> {
    return this.#own.values();
  }

  /** Copies of what the peer owns. */
  copies(): Iterable<StoredBlock> {
    return this.#copies.values();
  }

  get stored(): number {
    return this.#own.size + this.#copies.size;
  }

  /** Own blocks stored, confirmed or not. */
  get ownStored(): number {
    return this.#own.size;
  }

  /** How far the other end told what it has; undefined before it did on this connection. */
  get heardTo(): BlockPosition | undefined {
    return this.#heardTo;
  }

  /** Own blocks that may be used now. */
  get usable(): number {
    return this.agreement === "agreed" ? this.#confirmed.size : 0;
  }
}

/** Of `keepBlocks`: so many copies more than own blocks are kept. */
const SLACK = 4;

const markOf = (run?: number, sequence?: number, offset?: number): PadMark | undefined =>
  run === undefined || sequence === undefined || offset === undefined ? undefined : { run, sequence, offset };

const inOrder = (book: ReadonlyMap<BlockId, StoredBlock>): Map<BlockId, StoredBlock> =>
  new Map([...book].sort(([, a], [, b]) => (isAfter(a, b) ? 1 : -1)));

/** The first so many of a book, oldest first. */
function oldest(book: ReadonlyMap<BlockId, StoredBlock>, count: number): StoredBlock[] {
  return count <= 0 ? [] : [...book.values().take(count)];
}
