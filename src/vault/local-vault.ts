// The vault of one KM: the contract of `vault.ts` over its parts, and their common end.

import { Fault } from "../core/fault.ts";
import type { Secret, SecretPool } from "../core/memory/secret.ts";
import type { Clock, Log } from "../core/ports.ts";
import type { Blocks } from "./blocks.ts";
import { PendingChange } from "./change.ts";
import type { DataKeys } from "./epochs/data-keys.ts";
import type { EpochLife } from "./epochs/epoch-life.ts";
import type { Epochs } from "./epochs/epochs.ts";
import type { LockedMemory } from "./memory/locked-memory.ts";
import type { Slab } from "./memory/slab.ts";
import type { ChangeOp, RecordStore } from "./store/record-store.ts";
import { Removals } from "./store/removals.ts";
import type { SealedRecord } from "./store/sealed.ts";
import type { TokenLink } from "./token-link.ts";
import type {
  BlockId,
  Change,
  Job,
  KeyIdKey,
  OpenBlock,
  OpenJob,
  Range,
  Row,
  Sealed,
  Vault,
  VaultHealth,
} from "./vault.ts";

/** After a rejection, and between tries to make up for what was to be removed. */
const MAKE_UP_MS = 1000;
/** How long an orderly end waits for calls to the token that are under way. */
const TOKEN_ENDS_MS = 2000;
/** How long `zeroise` lets the KEKs come before the store. */
const KEKS_FIRST_MS = 500;
/** How long `zeroise` waits for a token that is not there, and for one that hangs. */
const TOKEN_WAIT = { comesMs: 5000, hangsMs: 60_000 } as const;

/** What a vault is made of. */
export interface VaultParts {
  readonly memory: LockedMemory;
  readonly slab: Slab;
  readonly blockBytes: number;
  readonly blocks: Blocks;
  readonly dataKeys: DataKeys;
  readonly epochs: Epochs;
  readonly life: EpochLife;
  readonly recordStore: RecordStore;
  readonly link: TokenLink;
  readonly clock: Clock;
  readonly log: Log;
  /** Gives the store's directory back. */
  readonly release: () => void;
}

/** The vault of one KM; dispose it to zero its memory and close its store. */
export class LocalVault implements Vault, AsyncDisposable {
  readonly #parts: VaultParts;
  readonly #listeners = new Set<() => void>();
  readonly #removals = new Removals();
  #stopMakingUp: (() => void) | undefined;
  #state: "open" | "zeroised" | "closed" = "open";

  constructor(parts: VaultParts) {
    this.#parts = parts;
  }

  health(): VaultHealth {
    const { link, recordStore, life, epochs, slab, blocks } = this.#parts;
    return {
      token: link.state,
      ...(link.reason === undefined ? {} : { tokenReason: link.reason }),
      store: recordStore.health,
      mode: life.mode,
      epoch: epochs.current,
      slots: { all: slab.all, pinned: blocks.pinned, intake: slab.lentByPools },
    };
  }

  get isReady(): boolean {
    const { link, recordStore } = this.#parts;
    return link.state === "ready" && recordStore.health === "ready";
  }

  onHealth(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Token or store changed. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  pool(slots: number, bytes = this.#parts.blockBytes): SecretPool {
    return this.#parts.slab.pool(slots, bytes);
  }

  async seal(block: BlockId, key: Secret): Promise<Sealed> {
    return await this.#open().blocks.seal(block, key);
  }

  async sealLetters(block: BlockId, letters: readonly Uint8Array[]): ReturnType<Vault["sealLetters"]> {
    return await this.#open().blocks.sealLetters(block, letters);
  }

  async generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]> {
    return await this.#open().blocks.generate(blocks, length);
  }

  async open(block: BlockId, used?: () => readonly Range[]): Promise<OpenBlock> {
    return await this.#open().blocks.open(block, used);
  }

  async openJob(job: Job): Promise<OpenJob> {
    return await this.#open().blocks.openJob(job);
  }

  cached(block: BlockId): OpenBlock | undefined {
    return this.#state === "open" ? this.#parts.blocks.cached(block) : undefined;
  }

  async keyIdKey(block: BlockId): Promise<KeyIdKey> {
    return await this.#open().blocks.keyIdKey(block);
  }

  change(): Change {
    return new PendingChange((ops) => this.#commit(ops));
  }

  rows(table: string, after?: string): Iterable<readonly [string, Row]> {
    return this.#open().recordStore.rows(table, after);
  }

  has(block: BlockId): boolean {
    return this.#state === "open" && this.#parts.blocks.has(block);
  }

  blocks(): Iterable<BlockId> {
    return this.#open().recordStore.index.blocks();
  }

  async rotate(used: (block: BlockId) => readonly Range[]): Promise<void> {
    await this.#open().life.rotate(used);
  }

  get epochSpent(): boolean {
    return this.#parts.life.spent;
  }

  /**
   * Memory first, then the KEKs, then the store (design 7). All three are tried whatever the others say.
   * @throws Fault HSM_UNAVAILABLE when KEKs may be left in the token
   */
  async zeroise(): Promise<void> {
    if (this.#state !== "open") throw new Fault("STOPPING");
    const { clock, recordStore, life, link, log, memory, release } = this.#parts;
    const beganMs = clock.monotonicMs();
    this.#state = "zeroised";
    this.#forget();
    memory.zero();
    const destroying = life.destroyAll();
    // The store does not wait for a token that hangs.
    await within(KEKS_FIRST_MS, destroying, clock);
    await recordStore.destroy();
    release();
    const destroyed = (await destroying) ?? (await life.destroyedWithin(TOKEN_WAIT));
    await link.close();
    // A call that was under way may have brought something in meanwhile.
    memory.zero();
    log.warn({ ms: clock.monotonicMs() - beganMs, keks: destroyed }, "zeroised: memory, keys in the token, store");
    if (destroyed === undefined) {
      const text = "memory and store are zeroised, but the token is not there: its keys (qkm-kek-…) are still in it";
      throw new Fault("HSM_UNAVAILABLE", { text });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "closed") return;
    const { recordStore, life, link, memory, release } = this.#parts;
    if (this.#state === "open") {
      this.#state = "closed";
      this.#forget();
      await life.close();
      await recordStore.close();
      release();
    }
    this.#state = "closed";
    const idle = await link.idle(TOKEN_ENDS_MS);
    await link.close();
    memory.zero();
    // Memory that a token may still write to is not given back.
    if (idle) memory[Symbol.dispose]();
  }

  #forget(): void {
    this.#stopMakingUp?.();
    const { blocks, dataKeys, epochs } = this.#parts;
    blocks.close();
    dataKeys.clear();
    epochs.close();
  }

  async #commit(ops: readonly ChangeOp[]): Promise<void> {
    const { blocks, epochs, recordStore, life } = this.#open();
    const kept = ops.flatMap((op) => (op.op === "keep" ? [op.record] : []));
    for (const op of ops) {
      if (op.op === "destroy") blocks.invalidate(op.block);
      if (op.op === "keep" && op.record.kind === "block") blocks.invalidate(op.record.block);
    }
    const all = kept.length > 0 ? [...ops, life.sealsOp()] : ops;
    const steps = ops.map((op) => (op.op === "keep" ? { op: op.op, block: op.record.block } : op));
    this.#removals.begun(steps);
    try {
      await recordStore.commit(all, (record) => admit(epochs, record));
    } catch (thrown) {
      this.#removals.rejected(steps);
      this.#makeUpLater();
      throw thrown;
    }
    for (const record of kept) epochs.kept(record);
  }

  /** What rejected changes were to remove. */
  #makeUpLater(): void {
    if (this.#removals.size === 0 || this.#state !== "open") return;
    this.#stopMakingUp ??= this.#parts.clock.after(MAKE_UP_MS, () => {
      this.#stopMakingUp = undefined;
      void this.#makeUp();
    });
  }

  async #makeUp(): Promise<void> {
    if (this.#state !== "open") return;
    const { recordStore, log } = this.#parts;
    const isDone = await this.#removals.retry((removals) => recordStore.commit(removals));
    if (isDone) log.info({}, "what rejected commits were to remove is off the disk");
    else this.#makeUpLater();
  }

  /** @throws Fault STOPPING */
  #open(): VaultParts {
    if (this.#state !== "open") throw new Fault("STOPPING");
    return this.#parts;
  }
}

/** Waits for work, but not longer than that. The work must not reject. */
function within(ms: number, work: Promise<unknown>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    void work.then(() => {
      cancel();
      resolve();
    });
  });
}

/** @throws Fault STORE_UNAVAILABLE when nothing could ever open the record */
function admit(epochs: Epochs, record: SealedRecord): void {
  if (epochs.has(record.epoch)) return;
  const text = `${record.block} waited too long for its commit: the epoch in which it was sealed has ended`;
  throw new Fault("STORE_UNAVAILABLE", { text });
}
