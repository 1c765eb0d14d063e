// The model vault with an observer, which is told of every use of a byte.

import type {
  BlockId,
  Change,
  EmptySlot,
  Job,
  KeyIdKey,
  Masked,
  OpenBlock,
  OpenJob,
  PadPiece,
  Range,
  Row,
  Sealed,
  Vault,
  VaultHealth,
} from "../../src/vault/vault.ts";
import type { ModelVault } from "../support/model-vault.ts";

/** A part of a block that serves as pad. */
export interface Pad {
  readonly block: BlockId;
  readonly range: Range;
}

/** Reported at the moment of each use, before it happens. */
export interface Watch {
  /** Bytes leave for an application. */
  emitted(block: BlockId, range: Range): void;
  /** A tag is made with one of the one-time keys of the block. */
  tagged(block: BlockId, which: "hop" | "end", context: Uint8Array): void;
  /** A block is masked with parts of others, under a tag over `context`; or unmasked, and there is no context. */
  padded(block: BlockId, pads: readonly Pad[], context: Uint8Array | undefined): void;
  /** A KEK epoch has ended. */
  rotated(): void;
}

export class WatchedVault implements Vault {
  readonly #inner: ModelVault;
  readonly #watch: Watch;

  constructor(inner: ModelVault, watch: Watch) {
    this.#inner = inner;
    this.#watch = watch;
  }

  health(): VaultHealth {
    return this.#inner.health();
  }
  get isReady(): boolean {
    return this.#inner.isReady;
  }
  onHealth(listener: () => void): () => void {
    return this.#inner.onHealth(listener);
  }
  pool(slots: number): ReturnType<Vault["pool"]> {
    return this.#inner.pool(slots);
  }
  async seal(block: BlockId, key: Parameters<Vault["seal"]>[1]): Promise<Sealed> {
    return this.#inner.seal(block, key);
  }
  async sealLetters(block: BlockId, letters: readonly Uint8Array[]): ReturnType<Vault["sealLetters"]> {
    return this.#inner.sealLetters(block, letters);
  }
  async generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]> {
    return this.#inner.generate(blocks, length);
  }
  async open(block: BlockId, used?: () => readonly Range[]): Promise<OpenBlock> {
    return new WatchedBlock(await this.#inner.open(block, used), this.#watch);
  }
  async openJob(job: Job): Promise<OpenJob> {
    return watchedJob(await this.#inner.openJob(job), this.#watch);
  }
  cached(block: BlockId): OpenBlock | undefined {
    const open = this.#inner.cached(block);
    return open && new WatchedBlock(open, this.#watch);
  }
  async keyIdKey(block: BlockId): Promise<KeyIdKey> {
    return this.#inner.keyIdKey(block);
  }
  change(): Change {
    return this.#inner.change();
  }
  rows(table: string, after?: string): Iterable<readonly [id: string, row: Row]> {
    return this.#inner.rows(table, after);
  }
  has(block: BlockId): boolean {
    return this.#inner.has(block);
  }
  blocks(): Iterable<BlockId> {
    return this.#inner.blocks();
  }
  async rotate(used: (block: BlockId) => readonly Range[]): Promise<void> {
    // The counter moves first, as in the vault: a kill in between leaves a new epoch.
    this.#watch.rotated();
    await this.#inner.rotate(used);
  }
  get epochSpent(): boolean {
    return this.#inner.epochSpent;
  }
  zeroise(): Promise<void> {
    return this.#inner.zeroise();
  }
}

class WatchedBlock implements OpenBlock {
  readonly block: BlockId;
  readonly length: number;
  readonly #inner: OpenBlock;
  readonly #watch: Watch;

  constructor(inner: OpenBlock, watch: Watch) {
    this.#inner = inner;
    this.#watch = watch;
    this.block = inner.block;
    this.length = inner.length;
  }

  hopTag(context: Uint8Array): Uint8Array {
    this.#watch.tagged(this.block, "hop", context);
    return this.#inner.hopTag(context);
  }
  endTag(context: Uint8Array): Uint8Array {
    this.#watch.tagged(this.block, "end", context);
    return this.#inner.endTag(context);
  }
  get bare(): OpenBlock {
    return this.#inner;
  }
  mask(pads: readonly PadPiece[], context: Uint8Array): Masked {
    const masked = this.#inner.mask(bare(pads), context);
    this.#watch.padded(this.block, pads.map(padOf), context);
    return masked;
  }
  async seal(): Promise<Sealed> {
    return this.#inner.seal();
  }
  async keyIdKey(): ReturnType<OpenBlock["keyIdKey"]> {
    return this.#inner.keyIdKey();
  }
  emit(range: Range, target: Uint8Array, at: number): number {
    this.#watch.emitted(this.block, range);
    return this.#inner.emit(range, target, at);
  }
  wipe(range: Range): void {
    this.#inner.wipe(range);
  }
  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]();
  }
}

const bareBlock = (open: OpenBlock): OpenBlock => (open instanceof WatchedBlock ? open.bare : open);
const bare = (pads: readonly PadPiece[]): PadPiece[] =>
  pads.map(({ open, range }) => ({ open: bareBlock(open), range }));
const padOf = ({ open, range }: PadPiece): Pad => ({ block: open.block, range });

function watchedJob(job: OpenJob, watch: Watch): OpenJob {
  const known = new Map<OpenBlock, WatchedBlock>();
  const blocks = job.blocks.map((open) => {
    const block = known.get(open) ?? new WatchedBlock(open, watch);
    known.set(open, block);
    return block;
  });
  const emptySlots = job.emptySlots.map((emptySlot) => watchedBlank(emptySlot, watch));
  return { blocks, emptySlots, [Symbol.dispose]: () => job[Symbol.dispose]() };
}

const watchedBlank = (emptySlot: EmptySlot, watch: Watch): EmptySlot => ({
  unmask(block, masked, pads, context) {
    const made = emptySlot.unmask(block, masked, bare(pads), context);
    watch.padded(block, pads.map(padOf), undefined);
    return made && new WatchedBlock(made, watch);
  },
  combine: (block, parts) => new WatchedBlock(emptySlot.combine(block, parts.map(bareBlock)), watch),
});
