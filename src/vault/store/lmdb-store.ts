// The store on LMDB: one commit at a time, flushed before it is reported.

import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Database, type Key, open, type RootDatabase } from "lmdb";
import { Fault } from "../../core/fault.ts";
import type { BlockId } from "../vault.ts";
import { checkFile } from "./check/file-check.ts";
import type { FileWatch } from "./file-watch.ts";
import { type FilePages, Headroom } from "./headroom.ts";
import { emptyDirectory, removeDirectory } from "./remove.ts";
import { type Head, KINDS, type Kind } from "./sealed.ts";
import { checkName, type Store, type StoreOp } from "./store.ts";

/** Where the store is and how large it may grow. */
export interface LmdbStoreOptions {
  /** Made if it is not there. Whoever opens it must own it (`ownDirectory`). */
  readonly dir: string;
  /** How much address space to map; the file may grow beyond. */
  readonly mapBytes: number;
  /** Notices when the file is gone; one for all openings of this store. */
  readonly watch?: FileWatch;
}

/** A step as LMDB takes it. */
type Step =
  | { readonly op: "put"; readonly database: "rows" | "records"; readonly key: Key; readonly value: Uint8Array }
  | { readonly op: "remove"; readonly database: "rows" | "records"; readonly key: Key };

interface LmdbTree {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** What `getStats` gives, which the library does not type. */
interface LmdbStats extends LmdbTree {
  readonly pageSize: number;
  readonly lastPageNumber: number;
  readonly root: LmdbTree;
  readonly free: LmdbTree;
}

/** LMDB's file in the directory. */
export const DATA_FILE = "data.mdb";
/** Values above this count as bulk, which a full disk refuses. */
const SMALL_BYTES = 4096;

interface Waiting {
  readonly steps: readonly Step[];
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

/** @throws DamagedStore; Error of LMDB or the file system when the directory cannot be used */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const file = join(options.dir, DATA_FILE);
  options.watch?.expect(file);
  checkFile(file);
  const root = open({
    path: options.dir,
    noSubdir: false,
    mapSize: options.mapBytes,
    maxDbs: 2,
    encoding: "binary",
    // Each of these decides what "committed" means, so none is left to the library's default.
    overlappingSync: false,
    noSync: false,
    noMetaSync: false,
    useWritemap: false,
    eventTurnBatching: true,
    cache: false,
    compression: false,
    // Records are read once and at random: what is read ahead would only fill memory.
    noReadAhead: true,
    // Freed buffers of the process must not reach the disk as padding.
    noMemInit: false,
  } as Parameters<typeof open>[0]);
  for (const file of [DATA_FILE, "lock.mdb"]) chmodSync(join(options.dir, file), 0o600);
  options.watch?.opened(file);
  return new LmdbStore(options, root);
}

/** `rows`: [table, ID] → the row. `records`: [kind, epoch, bytes, block] → the sealed record. */
interface Databases {
  readonly rows: Database<Buffer>;
  readonly records: Database<Buffer>;
}

class LmdbStore implements Store {
  readonly #dir: string;
  readonly #watch: FileWatch | undefined;
  readonly #root: RootDatabase;
  readonly #databases: Databases;
  readonly #headroom: Headroom;
  #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #broken: Fault | undefined;
  #closing: Promise<void> | undefined;

  constructor({ dir, watch }: LmdbStoreOptions, root: RootDatabase) {
    this.#dir = dir;
    this.#watch = watch;
    this.#root = root;
    const binary = { encoding: "binary", cache: false } as const;
    this.#databases = { rows: root.openDB("rows", binary), records: root.openDB("records", binary) };
    this.#headroom = new Headroom(join(dir, DATA_FILE), () => this.#pages());
  }

  /** A read after the end would leave LMDB's library with a timer whose exception ends the process. @throws Fault STORE_UNAVAILABLE */
  get #open(): Databases {
    if (this.#closing !== undefined) throw closed();
    return this.#databases;
  }

  *heads(): Iterable<Head> {
    for (const key of this.#open.records.getKeys()) {
      const [kind, epoch, bytes, block] = key as [Kind, number, number, BlockId];
      if (KINDS.includes(kind)) yield { kind, epoch, bytes, block };
    }
  }

  *tables(): Iterable<string> {
    let last: unknown;
    for (const key of this.#open.rows.getKeys()) {
      const [table] = key as [string];
      if (typeof table === "string" && table !== last) yield table;
      last = table;
    }
  }

  *rows(table: string, after?: string): Iterable<readonly [string, Uint8Array]> {
    const start = after === undefined ? [table] : [table, after];
    for (const { key, value } of this.#open.rows.getRange({ start })) {
      const [of, id] = key as [string, string];
      if (of !== table) return;
      if (id !== after) yield [id, value];
    }
  }

  read(head: Head): Uint8Array | undefined {
    return this.#open.records.getBinary(keyOf(head));
  }

  write(ops: readonly StoreOp[]): Promise<void> {
    const steps = ops.map(stepOf);
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      this.#queue.push({ steps, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async destroy(): Promise<void> {
    this.#refuse(new Fault("STORE_UNAVAILABLE", { text: "the store was destroyed" }));
    this.#watch?.destroyed();
    emptyDirectory(this.#dir);
    await this.close();
    // LMDB may have written its files once more at the end. The directory goes last: with it goes the lock on it.
    removeDirectory(this.#dir);
  }

  async #end(): Promise<void> {
    await this.#writing;
    this.#watch?.closed();
    this.#broken ??= closed();
    this.#headroom.close();
    await this.#root.close();
  }

  #pages(): FilePages {
    const root = this.#root.getStats() as LmdbStats;
    const trees = [root, root.root, root.free, this.#databases.rows.getStats(), this.#databases.records.getStats()];
    const used = (trees as LmdbTree[]).reduce(
      (sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages,
      0,
    );
    return { pageBytes: root.pageSize, pages: root.lastPageNumber + 1, used };
  }

  /** Commits what is queued, group by group. All that one turn of the event loop brings is one group. */
  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#queue.splice(0);
      try {
        await this.#commit(group.flatMap(({ steps }) => steps));
        for (const { resolve } of group) resolve();
      } catch (cause) {
        const fault = new Fault("STORE_UNAVAILABLE", { cause });
        this.#refuse(fault);
        for (const { reject } of group) reject(fault);
      }
    }
    this.#writing = undefined;
  }

  /** LMDB takes all steps of one turn into one transaction and aborts it whole if one of them fails. */
  async #commit(steps: readonly Step[]): Promise<void> {
    const bulk = steps.reduce((sum, step) => sum + bulkOf(step), 0);
    if (bulk > 0 && !this.#headroom.takes(bulk)) throw new Error("the disk is full");
    const outcomes = await Promise.allSettled(
      steps.map((step) => {
        const database = this.#databases[step.database];
        return step.op === "put" ? database.put(step.key, step.value as Buffer) : database.remove(step.key);
      }),
    );
    const reasons = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [reasonOf(outcome.reason)] : []));
    if (reasons.length > 0) throw await reasons[0];
  }

  #refuse(fault: Fault): void {
    this.#broken ??= fault;
    for (const { reject } of this.#queue.splice(0)) reject(this.#broken);
  }
}

const closed = (): Fault => new Fault("STORE_UNAVAILABLE", { text: "the store is closed" });

/** LMDB rejects twice: each write, and once more `commitError` with the reason, which nobody else handles. */
async function reasonOf(error: Error & { commitError?: Promise<never> }): Promise<unknown> {
  try {
    await error.commitError;
  } catch (reason) {
    return reason;
  }
  return error;
}

/** Bytes on the disk: whole pages and a page more. */
function bulkOf(step: Step): number {
  const bytes = step.op === "put" ? step.value.length : 0;
  return bytes > SMALL_BYTES ? Math.ceil(bytes / 4096) * 4096 + 4096 : 0;
}

const keyOf = ({ kind, epoch, bytes, block }: Head): Key => [kind, epoch, bytes, block];

function stepOf(op: StoreOp): Step {
  switch (op.op) {
    case "put":
      checkName(op.table, op.id);
      return { op: "put", database: "rows", key: [op.table, op.id], value: op.value };
    case "remove":
      checkName(op.table, op.id);
      return { op: "remove", database: "rows", key: [op.table, op.id] };
    case "keep":
      checkName(op.record.kind, op.record.block);
      return { op: "put", database: "records", key: keyOf(op.record), value: op.record.record };
    case "drop":
      return { op: "remove", database: "records", key: keyOf(op.head) };
  }
}
