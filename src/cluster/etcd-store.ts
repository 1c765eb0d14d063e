// The store on etcd: every change is one transaction that only its owner can make, then the local copy has it too.
//
//     write ──> queue ──group──> etcd: if I am the owner and the last write is the one I know, then put ──> local copy ──> done
//
// One transaction is under way at a time. What a former owner sends, however late, finds another owner or another last
// write, and changes nothing. Time plays no part in this.

import { Fault } from "../core/fault.ts";
import type { Random } from "../core/ports.ts";
import type { Head } from "../vault/store/sealed.ts";
import type { Store, StoreOp } from "../vault/store/store.ts";
import { catchUp, type Following, isRestored, refill } from "./catch-up.ts";
import type { EtcdOp, KeyValue } from "./etcd.ts";
import { etcdOpOf, lastOfEach } from "./layout.ts";
import { idOfWrite, OtherPast, writeMarkOf } from "./lineage.ts";
import type { CopiedTo } from "./local-copy.ts";

/** What one transaction takes together: etcd's own limits are `--max-request-bytes` and `--max-txn-ops`. */
const GROUP_BYTES = 1 << 20;
const GROUP_OPS = 1_000;
/** What a single change may be, as docs/cluster.md tells etcd's flags. */
export const LARGEST_CHANGE_BYTES = 9 << 20;

/** Operations of one change at most, below the `--max-txn-ops` that etcd is started with. */
export const MOST_CHANGE_OPS = 8_000;

/** Of a write's ID. */
const ID_BYTES = 12;

/** Between a look at the last write and the first of a store only what was given up before can happen: one transaction. */
const FIRST_TRIES = 3;

/** The owner gives up by itself when nothing comes, and opens its store again later. */
const NEVER = new AbortController().signal;

/** What the owner's store is opened with. */
export interface EtcdStoreOptions extends Following {
  /** The owner's create_revision. */
  readonly generation: number;
  /** Another member is the owner, or nobody: this one must stop. */
  readonly lost: (reason: string) => void;
  /** Steps that make the store say of itself that it is a restored copy. */
  readonly restored: () => readonly StoreOp[];
  /** For the IDs of writes. */
  readonly random: Pick<Random, "hex">;
}

interface Waiting {
  readonly ops: readonly StoreOp[];
  readonly steps: readonly EtcdOp[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

/**
 * Makes sure that nothing from before can take effect any more, and brings the local copy to the present.
 * @throws EtcdError; Fault STORE_UNAVAILABLE when this member is not the owner
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const fence = new Fence(options);
  const { before, now } = await fence.begin();
  try {
    await bringUp(options, before, now);
  } catch (thrown) {
    if (!(thrown instanceof OtherPast)) throw thrown;
    // Before the copy forgets what it has seen: a crash in between leaves the proof, or the word of it.
    const steps = options.restored().map((op) => etcdOpOf(options.layout, op));
    // rule: say-restored
    await fence.commit(steps);
    await refill(options, NEVER);
  }
  // This member may have stood still meanwhile: what a later owner wrote, its marks above all, is not for this one to use.
  if (options.copy.at.lastWrite !== fence.lastWrite) throw overtakenBy("another member is active now", options.lost);
  return new EtcdStore(options, fence);
}

/** @throws OtherPast when etcd was restored; EtcdError, Fault, Error */
async function bringUp(options: EtcdStoreOptions, before: KeyValue | undefined, now: CopiedTo): Promise<void> {
  const { copy } = options;
  const { revision, lastWrite } = copy.at;
  const hasAll = revision > 0 && revision >= (before?.modRevision ?? 0);
  const known = idOfWrite(before);
  const isOther = hasAll && lastWrite !== undefined && known !== undefined && lastWrite !== known;
  if (isOther || isRestored(copy.at, now)) throw new OtherPast("etcd lacks what this member has seen");
  await copy.mend();
  // A standby that has followed lacks nothing but what this transaction has written.
  if (hasAll && copy.at.revision === revision) return copy.apply([], now);
  await catchUp(options, now, { from: copy.at.revision + 1, signal: NEVER, heard() {}, applied() {} });
}

/** The last write that a fence knows: no other may have been made since. */
interface LastWrite {
  readonly revision: number;
  readonly id: string | undefined;
}

/** What every transaction of an owner has in common. */
class Fence {
  readonly #options: EtcdStoreOptions;
  #last: LastWrite = { revision: 0, id: "" };

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
  }

  /** ID of the last write of this store. */
  get lastWrite(): string | undefined {
    return this.#last.id;
  }

  /** The first write of a store: after it nothing that was under way can happen. @throws EtcdError, Fault as of `commit` */
  async begin(): Promise<{ before: KeyValue | undefined; now: CopiedTo }> {
    const { etcd, layout } = this.#options;
    for (let triesLeft = FIRST_TRIES; ; triesLeft--) {
      const { found } = await etcd.range({ prefix: layout.write, limit: 1 });
      const [before] = found;
      this.#last = { revision: before?.modRevision ?? 0, id: idOfWrite(before) };
      const now = await this.#write([]);
      if (now !== undefined) return { before, now };
      if (triesLeft <= 1) throw overtaken();
    }
  }

  /** @throws EtcdError: it may have happened; Fault STORE_UNAVAILABLE: it did not */
  async commit(steps: readonly EtcdOp[]): Promise<CopiedTo> {
    const now = await this.#write(steps);
    if (now === undefined) throw overtaken();
    return now;
  }

  /** Undefined when another write of this owner has happened. @throws EtcdError; Fault when this member is not the owner */
  async #write(steps: readonly EtcdOp[]): Promise<CopiedTo | undefined> {
    const { etcd, layout, generation, lost, random } = this.#options;
    const { owner, write } = layout;
    const last = this.#last;
    const id = random.hex(ID_BYTES);
    const mine = { key: owner, of: "create", revision: generation } as const;
    const answer = await etcd.transact({
      // rule: fence
      when: [mine, { key: write, of: "mod", revision: last.revision }],
      steps: [{ op: "put", key: write, value: writeMarkOf({ generation, id, after: last.id }) }, ...steps],
      otherwise: [owner],
    });
    const { cluster, revision } = answer;
    if (answer.succeeded) {
      this.#last = { revision, id };
      return { cluster, revision, lastWrite: id };
    }
    const [found] = answer.found;
    if (found?.createRevision === generation) return undefined;
    throw overtakenBy(found === undefined ? "the lease of this member is over" : "another member is active now", lost);
  }
}

const overtaken = (): Fault =>
  new Fault("STORE_UNAVAILABLE", { text: "a transaction that was given up has happened after all" });

/** Tells that this member is not the owner. */
function overtakenBy(text: string, lost: (reason: string) => void): Fault {
  lost(text);
  return new Fault("STORE_UNAVAILABLE", { text });
}

class EtcdStore implements Store {
  readonly #options: EtcdStoreOptions;
  readonly #fence: Fence;
  #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #broken: Fault | undefined;

  constructor(options: EtcdStoreOptions, fence: Fence) {
    this.#options = options;
    this.#fence = fence;
  }

  heads(): Iterable<Head> {
    return this.#options.copy.store.heads();
  }

  tables(): Iterable<string> {
    return this.#options.copy.tables();
  }

  rows(table: string, after?: string): Iterable<readonly [string, Uint8Array]> {
    return this.#options.copy.store.rows(table, after);
  }

  read(head: Head): Uint8Array | undefined {
    return this.#options.copy.store.read(head);
  }

  write(ops: readonly StoreOp[]): Promise<void> {
    const steps = lastOfEach(ops.map((op) => etcdOpOf(this.#options.layout, op)));
    const bytes = steps.reduce((sum, step) => sum + bytesOf(step), 0);
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      if (bytes > LARGEST_CHANGE_BYTES || steps.length > MOST_CHANGE_OPS) return reject(tooLarge(bytes, steps.length));
      this.#queue.push({ ops, steps, bytes, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  /** The copy stays open: it is the member's, and the next store's. */
  async close(): Promise<void> {
    await this.#writing;
    this.#broken ??= new Fault("STORE_UNAVAILABLE", { text: "the store is closed" });
  }

  /** Everything in etcd and here. The owner stays the owner. */
  async destroy(): Promise<void> {
    const { etcd, layout, copy } = this.#options;
    this.#refuse(new Fault("STORE_UNAVAILABLE", { text: "the store was destroyed" }));
    await this.#writing;
    try {
      // A fence of its own: it also stands where the outcome of the last write is unknown.
      const fence = new Fence(this.#options);
      await fence.begin();
      const { revision } = await fence.commit([
        { op: "delete-all", prefix: layout.rows },
        { op: "delete-all", prefix: layout.records },
      ]);
      await etcd.compact(revision);
    } finally {
      await copy.destroy();
    }
  }

  async #drain(): Promise<void> {
    let copied: Promise<void> = Promise.resolve();
    while (this.#queue.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const group = this.#group();
      try {
        copied = this.#copy(group, await this.#fence.commit(lastOfEach(group.flatMap(({ steps }) => steps))));
      } catch (cause) {
        this.#failed(group, cause);
      }
    }
    await copied;
    this.#writing = undefined;
    // What came while the copy was being written.
    if (this.#queue.length > 0) this.#writing = this.#drain();
  }

  /** The changes that go next, together. */
  #group(): Waiting[] {
    let bytes = 0;
    let ops = 0;
    const fits = this.#queue.findIndex((waiting) => {
      bytes += waiting.bytes;
      ops += waiting.steps.length;
      return bytes > GROUP_BYTES || ops > GROUP_OPS;
    });
    return this.#queue.splice(0, fits === -1 ? this.#queue.length : Math.max(1, fits));
  }

  async #copy(group: readonly Waiting[], at: CopiedTo): Promise<void> {
    try {
      await this.#options.copy.apply(
        group.flatMap(({ ops }) => ops),
        at,
      );
      for (const { resolve } of group) resolve();
    } catch (cause) {
      this.#failed(group, cause);
    }
  }

  #failed(group: readonly Waiting[], cause: unknown): void {
    const fault = cause instanceof Fault ? cause : new Fault("STORE_UNAVAILABLE", { cause });
    this.#refuse(fault);
    for (const { reject } of group) reject(fault);
  }

  #refuse(fault: Fault): void {
    this.#broken ??= fault;
    for (const { reject } of this.#queue.splice(0)) reject(this.#broken);
  }
}

/** Beside the value: the key, and what frames them. */
const STEP_BYTES = 64;
const bytesOf = (step: EtcdOp): number => (step.op === "put" ? step.key.length + step.value.length : 0) + STEP_BYTES;

function tooLarge(bytes: number, ops: number): Fault {
  const text = `a change of ${bytes} bytes in ${ops} steps is larger than one transaction of etcd`;
  return new Fault("STORE_UNAVAILABLE", { text });
}
