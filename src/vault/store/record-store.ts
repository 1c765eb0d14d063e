// The store as the vault sees it: an index of its records, and a way back after a commit that failed.
//
// Room `vault/store`: sealed records and plain rows on the disk. `store` is the contract, `lmdb-store` fulfils it, `record-store`
// is how the vault sees it: an index of what will be there once all that is queued is done. It never sees a plain key byte.

import { asFault, Fault } from "../../core/fault.ts";
import type { Clock, Log, Meter } from "../../core/ports.ts";
import { BACK_OFF, longer, Pause } from "../pause.ts";
import type { BlockId, Row } from "../vault.ts";
import { diskBytes, type IndexEntry, RecordIndex } from "./record-index.ts";
import { type RowTags, untrustedRow, VAULT_TABLE } from "./row-tags.ts";
import { type Head, KINDS, type SealedRecord } from "./sealed.ts";
import type { Store, StoreOp } from "./store.ts";

/** A step of a change before its row has a tag, and the index has told which records a block has. */
export type ChangeOp =
  | Exclude<StoreOp, { op: "drop" | "put" }>
  | { readonly op: "put"; readonly table: string; readonly id: string; readonly row: Row }
  | { readonly op: "destroy"; readonly block: BlockId };

/** The same with the row's bytes. */
type BytesOp = Exclude<ChangeOp, { op: "put" }> | Extract<StoreOp, { op: "put" }>;

/** One of the vault's own rows: as large as a block, to see whether the disk takes one; it has no tag. */
export const PROBE = "probe";

/** How the store is opened, and its bound. */
export interface RecordStoreOptions {
  readonly openStore: () => Promise<Store>;
  readonly rowTags: RowTags;
  /** Records are refused beyond this, by their size on disk. */
  readonly maxBytes: number;
  /** How much must fit the disk before the store counts as ready again: one block. */
  readonly probeBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly changed: () => void;
}

/** What is to be written, and what becomes true when it is durable. */
interface Plan {
  readonly ops: readonly StoreOp[];
  readonly durable: readonly IndexEntry[];
}

/** @throws Error of the store when it cannot be opened */
export async function openRecordStore(options: RecordStoreOptions): Promise<RecordStore> {
  return new RecordStore(options, await options.openStore());
}

/**
 * The store as the vault sees it. A commit that was rejected may have happened: the store is reopened and looked at.
 */
export class RecordStore {
  readonly #options: RecordStoreOptions;
  readonly #pause: Pause;
  #store: Store;
  #index: RecordIndex;
  /** False from a rejected commit until the store is open anew. */
  #alive = true;
  #opening: Promise<void> | undefined;
  #recovery: Promise<void> | undefined;
  #ended = false;

  constructor(options: RecordStoreOptions, store: Store) {
    this.#options = options;
    this.#pause = new Pause(options.clock);
    this.#store = store;
    this.#index = new RecordIndex(store.heads());
  }

  get health(): "ready" | "failing" {
    return this.#recovery === undefined ? "ready" : "failing";
  }

  get index(): RecordIndex {
    return this.#index;
  }

  /** Rows that are as they were written; what is not was told, and removed, when the token came. @throws Fault HSM_UNAVAILABLE */
  *rows(table: string, after?: string): Iterable<readonly [string, Row]> {
    for (const [id, bytes] of this.#store.rows(table, after)) {
      const found = this.#options.rowTags.read(table, id, bytes);
      if (found.state === "good") yield [id, found.row];
    }
  }

  /** Names of all tables that have rows. */
  tables(): readonly string[] {
    return [...this.#store.tables()];
  }

  /** Whatever is there under the names of a table. */
  rawRows(table: string, after?: string): Iterable<readonly [string, Uint8Array]> {
    return this.#store.rows(table, after);
  }

  /** One of the vault's own rows. */
  row(id: string): Row | undefined {
    for (const [name, row] of this.rows(VAULT_TABLE)) if (name === id) return row;
    return undefined;
  }

  /** Whether one of the vault's own rows is there, whatever is in it. */
  isMarked(id: string): boolean {
    return this.#bytesAt(id) !== undefined;
  }

  /** One of the vault's own rows, whether or not its tag fits: good for a word to the operator, never for a decision about key. */
  untrusted(id: string): Row | undefined {
    const bytes = this.#bytesAt(id);
    return bytes && untrustedRow(bytes);
  }

  #bytesAt(id: string): Uint8Array | undefined {
    for (const [name, bytes] of this.#store.rows(VAULT_TABLE)) if (name === id) return bytes;
    return undefined;
  }

  /** A copy of one record. @throws Fault STORE_UNAVAILABLE */
  async read(head: Head): Promise<Uint8Array | undefined> {
    if (!this.#alive) await this.#openAgain();
    return this.#store.read(head);
  }

  /**
   * Rows are read before this returns. `admit` throws what it has against a record at the moment it is queued.
   * @throws Fault STORE_UNAVAILABLE; then the index becomes what the store has
   */
  commit(ops: readonly ChangeOp[], admit: (record: SealedRecord) => void = () => {}): Promise<void> {
    let held: readonly BytesOp[];
    try {
      held = ops.map((op) => this.#bytesOf(op));
    } catch (thrown) {
      return Promise.reject(thrown);
    }
    return this.#write(() => {
      for (const op of held) if (op.op === "keep") admit(op.record);
      this.#checkRoom(held);
      return this.#plan(held);
    });
  }

  #bytesOf(op: ChangeOp): BytesOp {
    if (op.op !== "put") return op;
    const { table, id, row } = op;
    return { op: "put", table, id, value: this.#options.rowTags.write(table, id, row) };
  }

  /**
   * Puts records in the place of others, except where the other is gone by now.
   * @throws Fault STORE_UNAVAILABLE
   */
  replace(pairs: readonly { readonly old: IndexEntry; readonly fresh: SealedRecord }[]): Promise<void> {
    return this.#write(() => {
      if (this.health === "failing") throw new Fault("STORE_UNAVAILABLE");
      const ops: StoreOp[] = [];
      const durable: IndexEntry[] = [];
      for (const { old, fresh } of pairs.filter((pair) => this.#index.has(pair.old))) {
        ops.push({ op: "drop", head: old.head }, { op: "keep", record: fresh });
        durable.push(this.#index.add(headOf(fresh), old.durable ? old.head : old.older));
      }
      return { ops, durable };
    });
  }

  /** Waits for what was written before. */
  async close(): Promise<void> {
    await this.#end();
    await this.#store.close();
    this.#options.rowTags.close();
  }

  async destroy(): Promise<void> {
    this.#index = new RecordIndex([]);
    await this.#end();
    this.#options.rowTags.close();
    await this.#store.destroy();
  }

  async #end(): Promise<void> {
    this.#ended = true;
    this.#pause.end();
    await this.#opening?.catch(() => {});
    await this.#recovery;
  }

  /** Between `build` and the store's queue nothing else happens: the index and the queue agree about the order. */
  async #write(build: () => Plan): Promise<void> {
    if (!this.#alive) await this.#openAgain();
    const { ops, durable } = build();
    const store = this.#store;
    try {
      await store.write(ops);
    } catch (thrown) {
      this.#failed(store, thrown);
      throw thrown instanceof Fault ? thrown : new Fault("STORE_UNAVAILABLE", { cause: thrown });
    }
    for (const entry of durable) entry.durable = true;
  }

  #checkRoom(ops: readonly BytesOp[]): void {
    const kept = ops.flatMap((op) => (op.op === "keep" ? [diskBytes(op.record.bytes)] : []));
    if (kept.length === 0) return;
    if (this.health === "failing") throw new Fault("STORE_UNAVAILABLE");
    const bytes = kept.reduce((sum, size) => sum + size, this.#index.bytes);
    if (bytes <= this.#options.maxBytes) return;
    const text = `the key store is full: more than its ${this.#options.maxBytes} bytes would be in use`;
    throw new Fault("STORE_UNAVAILABLE", { text });
  }

  #plan(ops: readonly BytesOp[]): Plan {
    const durable: IndexEntry[] = [];
    const steps = ops.flatMap((op): StoreOp[] => {
      if (op.op === "destroy") return KINDS.flatMap((kind) => dropped(this.#index.remove(kind, op.block)));
      if (op.op !== "keep") return [op];
      const older = dropped(this.#index.remove(op.record.kind, op.record.block));
      durable.push(this.#index.add(headOf(op.record)));
      return [...older, op];
    });
    return { ops: steps, durable };
  }

  #failed(store: Store, thrown: unknown): void {
    if (store !== this.#store || !this.#alive || this.#ended) return;
    this.#alive = false;
    this.#options.meter.add("store_faults", { kind: "rejected" });
    if (this.#recovery !== undefined) return;
    const { message, cause } = asFault(thrown);
    const reason = cause instanceof Error ? cause.message : message;
    this.#options.log.error({ reason }, "the key store rejected a commit; it is opened anew and checked");
    this.#recovery = this.#recover();
  }

  /** Until a whole block can be written again. */
  async #recover(): Promise<void> {
    queueMicrotask(this.#options.changed);
    for (let ms: number = BACK_OFF.firstMs; !this.#ended; ms = longer(ms)) {
      if (await this.#probe()) break;
      await this.#pause.for(ms);
    }
    this.#recovery = undefined;
    if (this.#ended) return;
    this.#options.log.info({}, "the key store can be written again");
    this.#options.changed();
  }

  async #probe(): Promise<boolean> {
    const probe = { table: VAULT_TABLE, id: PROBE };
    const value = new Uint8Array(this.#options.probeBytes);
    try {
      await this.#write(() => ({ ops: [{ op: "put", ...probe, value }], durable: [] }));
      await this.#write(() => ({ ops: [{ op: "remove", ...probe }], durable: [] }));
      return true;
    } catch {
      return false;
    }
  }

  #openAgain(): Promise<void> {
    this.#opening ??= this.#reopen().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #reopen(): Promise<void> {
    if (this.#ended) throw new Fault("STOPPING");
    try {
      await this.#store.close();
      this.#store = await this.#options.openStore();
    } catch (cause) {
      throw new Fault("STORE_UNAVAILABLE", { cause });
    }
    this.#index = new RecordIndex(this.#store.heads());
    this.#alive = true;
  }
}

const headOf = ({ kind, epoch, bytes, block }: Head): Head => ({ kind, epoch, bytes, block });

const dropped = (entry: IndexEntry | undefined): StoreOp[] =>
  entry === undefined ? [] : [{ op: "drop", head: entry.head }];
