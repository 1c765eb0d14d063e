// Blocks and key-ID keys on their way between drivers, the store and locked memory.

import { Fault } from "../core/fault.ts";
import { type Secret, secretOf } from "../core/memory/secret.ts";
import type { Pace } from "../core/pace.ts";
import { decodeBase64 } from "../wire/base64.ts";
import { type Reader, readRecord } from "./epochs/reader.ts";
import { type CachedBlock, CachedBlocks, type Used } from "./memory/cached-blocks.ts";
import { LockedEmptySlot } from "./memory/empty-slot.ts";
import { KEY_ID_KEY_BYTES, type KeyIdKeys } from "./memory/key-ids.ts";
import { type BlockHome, KEY_ID_KEY, OpenedBlock } from "./memory/open-block.ts";
import type { Slab } from "./memory/slab.ts";
import { isStored } from "./store/record-index.ts";
import { checkName } from "./store/store.ts";
import type { TokenLink } from "./token-link.ts";
import type { BlockId, EmptySlot, Job, KeyIdKey, OpenBlock, OpenJob, Sealed, Vault } from "./vault.ts";

/** What the blocks of one vault are made of. */
export interface BlocksParts extends Reader {
  readonly link: TokenLink;
  readonly slab: Slab;
  readonly keyIds: KeyIdKeys;
  readonly pace: Pace;
  /** Locked memory in which Poly1305 works. */
  readonly tagState: Uint8Array;
  /** Locked memory in which pads are gathered: a slot's bytes. */
  readonly scratch: Uint8Array;
  readonly blockBytes: number;
}

/** What sealing costs: some 250 µs for 32 KiB, with its commit. */
const SEALED_BYTES_PER_US = 128;

/** Blocks and key-ID keys on their way between drivers, the store and locked memory. */
export class Blocks {
  readonly #parts: BlocksParts;
  readonly #cachedBlocks: CachedBlocks;
  readonly #home: BlockHome;

  constructor(parts: BlocksParts) {
    this.#parts = parts;
    this.#cachedBlocks = new CachedBlocks(parts.slab, (block, slot) =>
      readRecord(parts, { kind: "block", block }, slot),
    );
    this.#home = {
      tagState: parts.tagState,
      scratch: parts.scratch,
      blockBytes: parts.blockBytes,
      pin: (cached) => this.#cachedBlocks.pin(cached),
      unpin: (cached) => this.#cachedBlocks.unpin(cached),
      memoryOf,
      keyIdKey: (cached) => this.#extract(cached),
      seal: (cached) => this.#sealOpen(cached),
    };
  }

  /** Slots that someone uses now, but for drivers. */
  get pinned(): number {
    const { all, free, lentByPools } = this.#parts.slab;
    return all - free - lentByPools - this.#cachedBlocks.idle;
  }

  async seal(block: BlockId, key: Secret): Promise<Sealed> {
    this.#check(block, key.length);
    await this.#parts.pace.take("intake", key.length / SEALED_BYTES_PER_US);
    return await key.lend((plain) => this.#parts.sealer.seal("block", block, plain));
  }

  async sealLetters(block: BlockId, letters: readonly Uint8Array[]): ReturnType<Vault["sealLetters"]> {
    this.#check(
      block,
      letters.reduce((sum, { length }) => sum + mostBytes(length), 0),
    );
    const { link, sealer, slab } = this.#parts;
    if (link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    const slot = await slab.acquire();
    try {
      const lengths: number[] = [];
      let end = 0;
      for (const each of letters) {
        const length = decodeBase64(each, slot.subarray(end));
        lengths.push(length);
        end += length;
      }
      return { sealed: await sealer.seal("block", block, slot.subarray(0, end)), lengths };
    } finally {
      slab.release(slot);
    }
  }

  async generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]> {
    for (const block of blocks) this.#check(block, length);
    const { link, sealer, slab } = this.#parts;
    if (link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    const slot = await slab.acquire();
    try {
      const secret = secretOf(slot.subarray(0, length));
      await link.use((token) => token.random(secret));
      const sealed: Sealed[] = [];
      for (const block of blocks) sealed.push(await secret.lend((plain) => sealer.seal("block", block, plain)));
      return sealed;
    } finally {
      slab.release(slot);
    }
  }

  async open(block: BlockId, used?: Used): Promise<OpenBlock> {
    this.#checkOpens([block]);
    return new OpenedBlock(await this.#cachedBlocks.open(block, used), this.#home);
  }

  async openJob({ blocks, emptySlots }: Job): Promise<OpenJob> {
    if (!(Number.isInteger(emptySlots) && emptySlots >= 0))
      throw new RangeError(`there is no job with ${emptySlots} emptySlots`);
    const names = blocks.map(({ block }) => block);
    this.#checkOpens(names);
    const wanted = new Map<BlockId, Used>();
    for (const { block, used = () => [] } of blocks) if (!wanted.has(block)) wanted.set(block, used);
    const job = new OpenedJob(names, await this.#cachedBlocks.openAll(wanted, emptySlots), this.#home);
    if (this.#parts.link.state === "ready") return job;
    job[Symbol.dispose]();
    throw new Fault("HSM_UNAVAILABLE");
  }

  cached(block: BlockId): OpenBlock | undefined {
    if (this.#parts.link.state !== "ready" || !this.has(block)) return undefined;
    const cached = this.#cachedBlocks.cached(block);
    return cached && new OpenedBlock(cached, this.#home);
  }

  async keyIdKey(block: BlockId): Promise<KeyIdKey> {
    if (this.#parts.link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    const place = this.#parts.keyIds.place();
    try {
      await readRecord(this.#parts, { kind: "key-id", block }, place.bytes);
      return place.ready();
    } catch (thrown) {
      place.release();
      throw thrown;
    }
  }

  has(block: BlockId): boolean {
    return isStored(this.#parts.recordStore.index.get("block", block));
  }

  /** The block is destroyed or replaced. */
  invalidate(block: BlockId): void {
    this.#cachedBlocks.invalidate(block);
  }

  /** Nothing is usable any more. The memory is zeroed by whoever owns it. */
  close(): void {
    this.#parts.slab.close();
    this.#cachedBlocks.close();
    this.#parts.keyIds.close();
  }

  /** @throws Fault HSM_UNAVAILABLE; Error when one is not stored */
  #checkOpens(blocks: readonly BlockId[]): void {
    if (this.#parts.link.state !== "ready") throw new Fault("HSM_UNAVAILABLE");
    for (const block of blocks) if (!this.has(block)) throw new Error(`there is no block ${block}`);
  }

  /** Pinned meanwhile: nobody else is given the slot that the token reads. */
  async #sealOpen(cached: CachedBlock): Promise<Sealed> {
    const { block, length } = cached;
    const plain = memoryOf(cached).subarray(0, length);
    this.#cachedBlocks.pin(cached);
    try {
      return await this.#parts.sealer.seal("block", block, plain);
    } finally {
      this.#cachedBlocks.unpin(cached);
    }
  }

  async #extract({ block, slot }: CachedBlock): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    const place = this.#parts.keyIds.place();
    const plain = place.bytes.subarray(0, KEY_ID_KEY_BYTES);
    try {
      plain.set(slot.subarray(KEY_ID_KEY, KEY_ID_KEY + KEY_ID_KEY_BYTES));
      const sealed = await this.#parts.sealer.seal("key-id", block, plain);
      return { key: place.ready(), sealed };
    } catch (thrown) {
      place.release();
      throw thrown;
    }
  }

  #check(block: BlockId, length: number): void {
    checkName("block", block);
    if (length > 0 && length <= this.#parts.blockBytes) return;
    throw new RangeError(`a block of ${length} bytes: it must have 1 to ${this.#parts.blockBytes}`);
  }
}

/** The blocks and empty slots of one job, given up together. */
class OpenedJob implements OpenJob {
  readonly blocks: readonly OpenBlock[];
  readonly emptySlots: readonly EmptySlot[];
  readonly #all: DisposableStack;

  /** `pinned`: the blocks named, each once, in their order; then the emptySlots. */
  constructor(names: readonly BlockId[], pinned: readonly CachedBlock[], home: BlockHome) {
    const all = new DisposableStack();
    const distinct = new Set(names).size;
    const opened = new Map(
      pinned.slice(0, distinct).map((cached) => [cached.block, all.use(new OpenedBlock(cached, home))]),
    );
    this.blocks = names.flatMap((name) => opened.get(name) ?? []);
    this.emptySlots = pinned.slice(distinct).map((cached) => all.use(new LockedEmptySlot(cached, home)));
    this.#all = all;
  }

  [Symbol.dispose](): void {
    this.#all.dispose();
  }
}

/** Bytes that so many letters of base64 stand for, at most. */
const mostBytes = (letters: number): number => Math.ceil(letters / 4) * 3;

/** @throws Fault STOPPING when it was given up */
function memoryOf({ gone, slot }: CachedBlock): Uint8Array {
  if (gone) throw new Fault("STOPPING");
  return slot;
}
