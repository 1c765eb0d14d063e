// A store in memory whose disk outlives it, and that can lose what was not yet durable, reject commits, or be slow.

import { Fault } from "../../src/core/fault.ts";
import type { Head, SealedRecord } from "../../src/vault/store/sealed.ts";
import { checkName, type Store, type StoreOp } from "../../src/vault/store/store.ts";

/** What the next commit does instead of becoming durable: `lost` never happened, `kept` happened all the same. */
export type Rejection = "lost" | "kept";

/** The disk. */
export interface MemoryDisk {
  /** Opens what is durable; a Store of before must be closed or crashed. */
  open(): Promise<Store>;
  /** The process ends: the open store answers nothing any more, and of its commits under way the first `kept` are durable. */
  crash(kept?: number): void;
  /** Rejects the next commit. */
  reject(how: Rejection): void;
  /** Every commit waits for `pace` first; `undefined` makes it quick again. */
  slow(pace: (() => Promise<void>) | undefined): void;
  /** A full disk takes no change that keeps a record, and no row of more than 4,096 bytes. */
  full(full: boolean): void;
  /** The disk as it is now; `restore` brings it back (a backup). */
  snapshot(): Snapshot;
  restore(snapshot: Snapshot): void;
  /** Commits that became durable since it was made. */
  readonly commits: number;
  /** Heads of the durable records, as text, in order. */
  readonly records: readonly string[];
}

export interface Snapshot {
  readonly rows: ReadonlyMap<string, Uint8Array>;
  readonly records: ReadonlyMap<string, SealedRecord>;
}

interface Commit {
  readonly ops: readonly StoreOp[];
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

interface Disk {
  rows: Map<string, Uint8Array>;
  records: Map<string, SealedRecord>;
  rejection: Rejection | undefined;
  pace: (() => Promise<void>) | undefined;
  full: boolean;
  commits: number;
  open: MemoryStore | undefined;
}

export function makeMemoryDisk(): MemoryDisk {
  const disk: Disk = {
    rows: new Map(),
    records: new Map(),
    rejection: undefined,
    pace: undefined,
    full: false,
    commits: 0,
    open: undefined,
  };
  return {
    async open() {
      if (disk.open !== undefined) throw new Error("the disk has an open store already");
      disk.open = new MemoryStore(disk);
      return disk.open;
    },
    crash: (kept = 0) => disk.open?.crash(kept),
    reject(how) {
      disk.rejection = how;
    },
    slow(pace) {
      disk.pace = pace;
    },
    full(full) {
      disk.full = full;
    },
    snapshot: () => ({ rows: new Map(disk.rows), records: new Map(disk.records) }),
    restore({ rows, records }) {
      disk.rows = new Map(rows);
      disk.records = new Map(records);
    },
    get commits() {
      return disk.commits;
    },
    get records() {
      return [...disk.records.keys()].sort();
    },
  };
}

const rowKey = (table: string, id: string) => JSON.stringify([table, id]);
const headKey = ({ kind, epoch, bytes, block }: Head) => JSON.stringify([kind, epoch, bytes, block]);
const asks = (op: StoreOp) => op.op === "keep" || (op.op === "put" && op.value.length > 4096);

class MemoryStore implements Store {
  readonly #disk: Disk;
  #queue: Commit[] = [];
  #underWay: Commit[] = [];
  #draining: Promise<void> | undefined;
  #ended: Fault | undefined;
  #crashed = false;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  *heads(): Iterable<Head> {
    for (const { kind, epoch, bytes, block } of this.#disk.records.values()) yield { kind, epoch, bytes, block };
  }

  tables(): Iterable<string> {
    return new Set([...this.#disk.rows.keys()].map((key) => String(JSON.parse(key)[0])));
  }

  *rows(table: string, after?: string): Iterable<readonly [string, Uint8Array]> {
    for (const key of [...this.#disk.rows.keys()].sort()) {
      const [of, id] = JSON.parse(key) as [string, string];
      const row = this.#disk.rows.get(key);
      if (of === table && row !== undefined && (after === undefined || id > after)) yield [id, row.slice()];
    }
  }

  read(head: Head): Uint8Array | undefined {
    return this.#disk.records.get(headKey(head))?.record.slice();
  }

  write(ops: readonly StoreOp[]): Promise<void> {
    for (const op of ops) if (op.op === "put" || op.op === "remove") checkName(op.table, op.id);
    return new Promise((resolve, reject) => {
      if (this.#crashed) return;
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#queue.push({ ops, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  async close(): Promise<void> {
    await this.#draining;
    this.#end(new Fault("STORE_UNAVAILABLE", { text: "the store is closed" }));
    if (this.#disk.open === this) this.#disk.open = undefined;
  }

  async destroy(): Promise<void> {
    this.#end(new Fault("STORE_UNAVAILABLE", { text: "the store was destroyed" }));
    await this.close();
    this.#disk.rows.clear();
    this.#disk.records.clear();
  }

  crash(kept: number): void {
    for (const commit of [...this.#underWay, ...this.#queue].slice(0, kept)) this.#apply(commit);
    this.#crashed = true;
    this.#queue = [];
    this.#disk.open = undefined;
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#underWay = this.#queue.splice(0);
      await this.#disk.pace?.();
      if (this.#crashed) return;
      this.#commit(this.#underWay.splice(0));
    }
    this.#draining = undefined;
  }

  #commit(group: readonly Commit[]): void {
    const rejection = this.#disk.full && group.some(({ ops }) => ops.some(asks)) ? "lost" : this.#disk.rejection;
    this.#disk.rejection = undefined;
    if (rejection !== "lost") for (const commit of group) this.#apply(commit);
    if (rejection === undefined) for (const { resolve } of group) resolve();
    else {
      this.#end(new Fault("STORE_UNAVAILABLE"), group);
    }
  }

  #end(fault: Fault, group: readonly Commit[] = []): void {
    this.#ended ??= fault;
    for (const { reject } of [...group, ...this.#queue.splice(0)]) reject(this.#ended);
  }

  #apply({ ops }: Commit): void {
    this.#disk.commits += 1;
    for (const op of ops) {
      if (op.op === "put") this.#disk.rows.set(rowKey(op.table, op.id), op.value);
      else if (op.op === "remove") this.#disk.rows.delete(rowKey(op.table, op.id));
      else if (op.op === "keep") this.#disk.records.set(headKey(op.record), op.record);
      else this.#disk.records.delete(headKey(op.head));
    }
  }
}
