// A vault in memory whose disk outlives it: commits can be delayed, rejected or cut off by a crash, and leases are counted.

import { Fault } from "../../src/core/fault.ts";
import { type Secret, type SecretPool, secretOf } from "../../src/core/memory/secret.ts";
import { Removals } from "../../src/vault/store/removals.ts";
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
} from "../../src/vault/vault.ts";
import { decodeBase64 } from "../../src/wire/base64.ts";
import type { BlockHome, Emitted, Padded } from "./model-block.ts";
import { ModelMemory } from "./model-memory.ts";

/** What becomes of one commit. After a crash nothing of the vault ever answers again. */
export type CommitFate = "durable" | "rejected, lost" | "rejected, kept" | "crash, lost" | "crash, kept";

type Kind = "block" | "key-id";
type SealedModel = Sealed & { readonly kind: Kind; readonly plain: Uint8Array };

type Step =
  | { readonly op: "put"; readonly table: string; readonly id: string; readonly row: Row }
  | { readonly op: "remove"; readonly table: string; readonly id: string }
  | { readonly op: "keep"; readonly sealed: SealedModel }
  | { readonly op: "destroy"; readonly block: BlockId };

/** A copy of a disk, to be restored later. */
export interface DiskCopy {
  readonly rows: ReadonlyMap<string, Row>;
  readonly records: ReadonlyMap<string, Uint8Array>;
}

/** Mostly numbers and strings, which need no clone of their own. */
function copyOf(row: Row): Row {
  const copy: Record<string, unknown> = { ...row };
  for (const name in row) {
    const value = row[name];
    if (value instanceof Uint8Array) copy[name] = new Uint8Array(value);
    else if (typeof value === "object") copy[name] = structuredClone(value);
  }
  return copy;
}

const rowKey = (table: string, id: string): string => `${table}\n${id}`;
const recordKey = (kind: Kind, block: BlockId): string => `${kind}\n${block}`;

/** The node's hardware: disk and token. */
export class ModelMachine {
  readonly slots: number;
  /** Fills blocks that the token generates. */
  readonly fill: (bytes: Uint8Array) => void;
  /** Decides what becomes of commit number `n`, counted from 1 since the machine was made. */
  fate: (n: number, steps: readonly Step[]) => CommitFate = () => "durable";
  /** Every commit waits for it first. */
  pace: () => Promise<void> = () => Promise.resolve();
  /** What calls of a vault that is booted from now on wait for, each by itself, so that later ones may overtake it. */
  work: () => Promise<void> = () => Promise.resolve();
  /** Commits that wait while the disk is at work share its next turn, as in a real store; otherwise each has its own. */
  isShared = false;
  /** Whether what left and what served as pad is written down. */
  isRecording = true;
  /** Commits that reached the disk. */
  commits = 0;
  /** All that was ever emitted, with the boot in which it was. */
  readonly emitted: (Emitted & { readonly boot: number })[] = [];
  /** All that ever served as pad, for keys that left and for keys that came. */
  readonly padded: (Padded & { readonly boot: number })[] = [];
  boots = 0;
  vault: ModelVault | undefined;
  rows = new Map<string, Row>();
  records = new Map<string, Uint8Array>();

  constructor(slots: number, fill: (bytes: Uint8Array) => void) {
    this.slots = slots;
    this.fill = fill;
  }

  boot(): ModelVault {
    this.boots++;
    this.vault = new ModelVault(this);
    return this.vault;
  }

  /** The process ends now: what was not durable is lost. */
  crash(): void {
    this.vault?.die();
    this.vault = undefined;
  }

  copy(): DiskCopy {
    return { rows: new Map(this.rows), records: new Map(this.records) };
  }

  restore({ rows, records }: DiskCopy): void {
    this.rows = new Map(rows);
    this.records = new Map(records);
  }

  apply(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.op === "put") this.rows.set(rowKey(step.table, step.id), step.row);
      else if (step.op === "remove") this.rows.delete(rowKey(step.table, step.id));
      else if (step.op === "keep") this.records.set(recordKey(step.sealed.kind, step.sealed.block), step.sealed.plain);
      else for (const kind of ["block", "key-id"] as const) this.records.delete(recordKey(kind, step.block));
    }
  }
}

interface Pending {
  readonly steps: readonly Step[];
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

const NEVER = new Promise<never>(() => {});

export class ModelVault implements Vault, BlockHome {
  readonly epochSpent = false;
  readonly blockBytes = 32_768;
  readonly #machine: ModelMachine;
  readonly #work: () => Promise<void>;
  readonly #memory: ModelMemory;
  readonly #listeners = new Set<() => void>();
  /** Blocks that are durable and not about to be destroyed. */
  #blocks: Set<BlockId>;
  readonly #removals = new Removals();
  #queue: Pending[] = [];
  #draining = false;
  #dead = false;
  #own: ReadonlyMap<string, Uint8Array> | undefined;
  #token: VaultHealth["token"] = "ready";
  #store: VaultHealth["store"] = "ready";

  constructor(machine: ModelMachine) {
    this.#machine = machine;
    this.#work = machine.work;
    this.#memory = new ModelMemory(machine.slots, this);
    this.#blocks = this.#stored();
  }

  /** Leases on blocks and key-ID keys that were not given back. */
  get leases(): { readonly blocks: number; readonly idKeys: number } {
    return this.#memory.leases;
  }

  /** Another process has the disk from now on: this one has what the disk had, and can write nothing any more. */
  fence(): void {
    this.#own = this.#machine.copy().records;
  }

  get #records(): ReadonlyMap<string, Uint8Array> {
    return this.#own ?? this.#machine.records;
  }

  /** Commits are on their way to the disk. */
  get isWriting(): boolean {
    return this.#draining;
  }

  die(): void {
    this.#dead = true;
    this.#listeners.clear();
  }

  /** The token goes away or comes back. */
  token(state: VaultHealth["token"]): void {
    this.#token = state;
    this.#changed();
  }

  /** The disk can be written again, or cannot. */
  store(state: VaultHealth["store"]): void {
    this.#store = state;
    if (state === "ready") void this.#makeUp();
    this.#changed();
  }

  /** All that rejected changes were to remove, some at a time, while the store takes it. */
  async #makeUp(): Promise<void> {
    while (this.#store === "ready" && this.#removals.size > 0) await this.#removals.retry((steps) => this.#made(steps));
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  health(): VaultHealth {
    const slots = { all: this.#machine.slots, pinned: this.leases.blocks, intake: 0 };
    return { token: this.#token, store: this.#store, mode: "direct", epoch: 1, slots };
  }

  get isReady(): boolean {
    return this.#token === "ready" && this.#store === "ready";
  }

  onHealth(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  pool(slots: number): SecretPool {
    let free = slots;
    return {
      take: () => {
        if (free === 0) return undefined;
        free--;
        return secretOf(new Uint8Array(this.blockBytes), () => free++);
      },
    };
  }

  async seal(block: BlockId, key: Secret): Promise<Sealed> {
    await this.#working();
    return key.lend((bytes) => sealed("block", block, bytes.slice()));
  }

  async sealLetters(block: BlockId, letters: readonly Uint8Array[]): ReturnType<Vault["sealLetters"]> {
    await this.#working();
    const plain = new Uint8Array(this.blockBytes);
    let end = 0;
    const lengths = letters.map((each) => {
      const length = decodeBase64(each, plain.subarray(end));
      end += length;
      return length;
    });
    return { sealed: sealed("block", block, plain.slice(0, end)), lengths };
  }

  async generate(blocks: readonly BlockId[], length: number): Promise<readonly Sealed[]> {
    await this.#working();
    const plain = new Uint8Array(length);
    this.#machine.fill(plain);
    return blocks.map((block) => sealed("block", block, plain.slice()));
  }

  async sealIdKey(block: BlockId, bytes: Uint8Array): Promise<{ readonly key: KeyIdKey; readonly sealed: Sealed }> {
    await this.#working();
    return { key: this.#memory.idKey(bytes), sealed: sealed("key-id", block, bytes) };
  }

  async sealBlock(block: BlockId, bytes: Uint8Array): Promise<Sealed> {
    await this.#working();
    return sealed("block", block, bytes);
  }

  emitted(part: Emitted): void {
    if (this.#machine.isRecording) this.#machine.emitted.push({ ...part, boot: this.#machine.boots });
  }

  padded(part: Padded): void {
    if (this.#machine.isRecording) this.#machine.padded.push({ ...part, boot: this.#machine.boots });
  }

  stored(block: BlockId): Uint8Array {
    const bytes = this.#blocks.has(block) ? this.#records.get(recordKey("block", block)) : undefined;
    if (bytes === undefined) throw new Error(`there is no block ${block}`);
    return bytes;
  }

  async open(block: BlockId, used: () => readonly Range[] = () => []): Promise<OpenBlock> {
    const { blocks } = await this.openJob({ blocks: [{ block, used }], emptySlots: 0 });
    const [open] = blocks;
    if (open === undefined) throw new Error(`there is no block ${block}`);
    return open;
  }

  async openJob({ blocks, emptySlots }: Job): Promise<OpenJob> {
    if (!(Number.isInteger(emptySlots) && emptySlots >= 0))
      throw new RangeError(`there is no job with ${emptySlots} emptySlots`);
    await this.#working();
    for (const { block } of blocks) this.stored(block);
    const wanted = new Map(blocks.toReversed().map(({ block, used = () => [] }) => [block, used]));
    const seated = await this.#memory.take({ blocks: wanted, emptySlots });
    try {
      await this.#working();
    } catch (thrown) {
      seated[Symbol.dispose]();
      throw thrown;
    }
    const opened = new Map(seated.blocks.map((open) => [open.block, open]));
    return {
      blocks: blocks.flatMap(({ block }) => opened.get(block) ?? []),
      emptySlots: seated.emptySlots,
      [Symbol.dispose]: () => seated[Symbol.dispose](),
    };
  }

  cached(block: BlockId): OpenBlock | undefined {
    if (this.#dead || this.#token !== "ready" || !this.#blocks.has(block)) return undefined;
    return this.#memory.lease(block);
  }

  async keyIdKey(block: BlockId): Promise<KeyIdKey> {
    await this.#working();
    const bytes = this.#records.get(recordKey("key-id", block));
    if (bytes === undefined) throw new Error(`there is no key-ID key of ${block}`);
    return this.#memory.idKey(bytes);
  }

  /** Work takes a microtask here, or what the machine says. @throws Fault HSM_UNAVAILABLE */
  async #working(): Promise<void> {
    await this.#work();
    if (this.#dead) await NEVER;
    if (this.#token !== "ready") throw new Fault("HSM_UNAVAILABLE");
  }

  change(): Change {
    return new ModelChange((steps) => this.#commit(steps));
  }

  #commit(steps: readonly Step[]): Promise<void> {
    if (this.#dead) return NEVER;
    const named = steps.map((step) => (step.op === "keep" ? { op: step.op, block: step.sealed.block } : step));
    this.#removals.begun(named);
    if (this.#store === "failing") {
      this.#removals.rejected(named);
      return Promise.reject(new Fault("STORE_UNAVAILABLE"));
    }
    for (const step of steps) {
      if (step.op === "keep" && step.sealed.kind === "block") this.#memory.drop(step.sealed.block);
    }
    const sent = this.#made(steps);
    sent.catch(() => this.#removals.rejected(named));
    return sent;
  }

  #made(steps: readonly Step[]): Promise<void> {
    for (const step of steps) if (step.op === "destroy") this.#forget(step.block);
    return new Promise((resolve, reject) => {
      this.#queue.push({ steps, resolve, reject });
      if (!this.#draining) void this.#drain();
    });
  }

  #forget(block: BlockId): void {
    this.#blocks.delete(block);
    this.#memory.drop(block);
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, this.#machine.isShared ? this.#queue.length : 1);
      if (this.#own === undefined) await this.#machine.pace();
      for (let next = batch.shift(); next !== undefined && !this.#dead; next = batch.shift()) this.#write(next, batch);
      if (this.#dead) return;
    }
    this.#draining = false;
  }

  /** `others` share its turn of the disk. */
  #write(commit: Pending, others: Pending[]): void {
    const fate = this.#own === undefined ? this.#machine.fate(++this.#machine.commits, commit.steps) : "rejected, lost";
    if (!fate.endsWith("lost")) this.#machine.apply(commit.steps);
    if (fate.startsWith("crash")) this.#machine.crash();
    else if (fate === "durable") {
      for (const step of commit.steps) {
        if (step.op === "keep" && step.sealed.kind === "block") this.#blocks.add(step.sealed.block);
        // Made up for later: it was refused before, and is in the list of what is stored.
        if (step.op === "destroy") this.#forget(step.block);
      }
      commit.resolve();
    } else {
      for (const { reject } of [commit, ...others.splice(0), ...this.#queue.splice(0)])
        reject(new Fault("STORE_UNAVAILABLE"));
      this.#blocks = this.#stored();
      this.store("failing");
    }
  }

  *rows(table: string, after?: string): Iterable<readonly [string, Row]> {
    const start = rowKey(table, "");
    const all = [...this.#machine.rows].filter(([key]) => key.startsWith(start));
    for (const [key, row] of all.sort(([a], [b]) => (a < b ? -1 : 1))) {
      const id = key.slice(start.length);
      if (after === undefined || id > after) yield [id, copyOf(row)];
    }
  }

  has(block: BlockId): boolean {
    return this.#blocks.has(block);
  }

  blocks(): Iterable<BlockId> {
    return [...this.#blocks];
  }

  #stored(): Set<BlockId> {
    const start = recordKey("block", "" as BlockId);
    const keys = [...this.#records.keys()].filter((key) => key.startsWith(start));
    return new Set(keys.map((key) => key.slice(start.length) as BlockId));
  }

  async rotate(used: (block: BlockId) => readonly Range[]): Promise<void> {
    for (const block of this.blocks()) {
      await this.#working();
      const key = recordKey("block", block);
      const plain = this.#machine.records.get(key)?.slice();
      if (plain === undefined) continue;
      for (const { offset, length } of used(block)) plain.fill(0, offset, offset + length);
      await Promise.resolve();
      if (!this.#blocks.has(block)) continue;
      this.#machine.records.set(key, plain);
    }
  }

  async zeroise(): Promise<void> {
    this.die();
    this.#machine.rows.clear();
    this.#machine.records.clear();
  }
}

const sealed = (kind: Kind, block: BlockId, plain: Uint8Array): Sealed => {
  const fields: Omit<SealedModel, keyof Sealed> & Pick<Sealed, "block" | "bytes"> = {
    kind,
    block,
    bytes: plain.length,
    plain,
  };
  return fields as SealedModel;
};

class ModelChange implements Change {
  readonly #send: (steps: readonly Step[]) => Promise<void>;
  readonly #steps: Step[] = [];
  #committed = false;
  /** Rows were put, and something was waited for since: others may have made newer ones durable. */
  #isOld: boolean | undefined;

  constructor(send: (steps: readonly Step[]) => Promise<void>) {
    this.#send = send;
  }

  put(table: string, id: string, row: Row): Change {
    if (this.#isOld === undefined) {
      this.#isOld = false;
      queueMicrotask(() => {
        this.#isOld = true;
      });
    }
    return this.#add({ op: "put", table, id, row: copyOf(row) });
  }

  remove(table: string, id: string): Change {
    return this.#add({ op: "remove", table, id });
  }

  keep(record: Sealed): Change {
    return this.#add({ op: "keep", sealed: record as SealedModel });
  }

  destroy(block: BlockId): Change {
    return this.#add({ op: "destroy", block });
  }

  commit(): Promise<void> {
    if (this.#committed) throw new Error("a change was used after its commit");
    if (this.#isOld === true) throw new Error("between the rows of a change and its commit something was waited for");
    this.#committed = true;
    return this.#send(this.#steps);
  }

  #add(step: Step): Change {
    if (this.#committed) throw new Error("a change was used after its commit");
    this.#steps.push(step);
    return this;
  }
}
