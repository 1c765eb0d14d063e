// An etcd in memory: one history for all clients, each of which has a way to it that can be held, cut or silent.

import {
  type Condition,
  type Etcd,
  EtcdError,
  type EtcdOp,
  type KeyValue,
  type RangeAnswer,
  type RangeQuery,
  type Standing,
  type Transaction,
  type TransactionAnswer,
  type WatchBatch,
  type WatchEvent,
  type WatchQuery,
} from "../../../src/cluster/etcd.ts";

interface Change extends WatchEvent {
  readonly lease: string | undefined;
}

/** The history that all voters agree on. Leases end only by `revoke`. */
export class MemoryEtcd {
  cluster = "1";
  readonly #values = new Map<string, KeyValue & { readonly lease: string | undefined }>();
  readonly #changes: Change[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #leases = new Set<string>();
  #revision = 1;
  #compacted = 0;
  /** Of all copies together: etcd gives no ID of a lease again, also when it was restored. */
  #given = { leases: 0 };

  get standing(): Standing {
    return { cluster: this.cluster, revision: this.#revision };
  }

  /** What a key has now. */
  valueOf(key: string): Uint8Array | undefined {
    return this.#values.get(key)?.value;
  }

  /** @throws EtcdError for a revision that is forgotten, or that is not the present one */
  range({ prefix, after = "", limit = 0, revision = 0 }: RangeQuery): RangeAnswer {
    if (revision > 0 && revision < this.#compacted) throw new EtcdError("compacted", "forgotten");
    const all = [...this.#values.values()]
      .filter(({ key }) => key.startsWith(prefix) && key > after)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const found = limit > 0 ? all.slice(0, limit) : all;
    return { ...this.standing, found, more: found.length < all.length };
  }

  transact({ when, steps, otherwise = [] }: Transaction): TransactionAnswer {
    const read = (keys: readonly string[]) => keys.flatMap((key) => this.#values.get(key) ?? []);
    if (!when.every((condition) => this.#holds(condition))) {
      return { ...this.standing, succeeded: false, found: read(otherwise) };
    }
    const found = read(steps.flatMap((step) => (step.op === "get" ? [step.key] : [])));
    this.#change(steps);
    return { ...this.standing, succeeded: true, found };
  }

  grant(): string {
    this.#given.leases += 1;
    this.#leases.add(`${this.#given.leases}`);
    return `${this.#given.leases}`;
  }

  has(lease: string): boolean {
    return this.#leases.has(lease);
  }

  revoke(lease: string): void {
    this.#leases.delete(lease);
    const keys = [...this.#values.values()].filter((value) => value.lease === lease);
    if (keys.length > 0) this.#change(keys.map(({ key }) => ({ op: "delete", key })));
  }

  compact(revision: number): void {
    this.#compacted = revision;
  }

  /** Another cluster with the same history up to now, as a snapshot is restored. */
  copy(cluster: string): MemoryEtcd {
    const copy = new MemoryEtcd();
    copy.#given = this.#given;
    copy.restore(this);
    copy.cluster = cluster;
    return copy;
  }

  /** It has only what that one has. */
  restore(snapshot: MemoryEtcd): void {
    this.cluster = snapshot.cluster;
    this.#values.clear();
    for (const [key, value] of snapshot.#values) this.#values.set(key, value);
    this.#changes.splice(0, this.#changes.length, ...snapshot.#changes);
    this.#leases.clear();
    for (const lease of snapshot.#leases) this.#leases.add(lease);
    this.#revision = snapshot.#revision;
    this.#compacted = snapshot.#compacted;
  }

  get leases(): readonly string[] {
    return [...this.#leases];
  }

  /** What has changed below a prefix from one revision to another, both included. @throws EtcdError */
  changes(prefix: string, from: number, to: number): readonly WatchEvent[] {
    if (from <= this.#compacted) throw new EtcdError("compacted", "forgotten");
    const first = this.#changes.findLastIndex(({ modRevision }) => modRevision < from) + 1;
    return this.#changes.slice(first).filter(({ key, modRevision }) => modRevision <= to && key.startsWith(prefix));
  }

  /** What has changed from that revision on; waits for more. @throws EtcdError */
  async *watch({ prefix, fromRevision, heard }: WatchQuery, signal: AbortSignal): AsyncGenerator<WatchBatch> {
    if (fromRevision <= this.#compacted) throw new EtcdError("compacted", "forgotten");
    for (let next = fromRevision; ; ) {
      const events = this.#changes.filter(({ key, modRevision }) => modRevision >= next && key.startsWith(prefix));
      next = this.#revision + 1;
      if (events.length > 0) {
        heard();
        yield { ...this.standing, events };
      }
      if (this.#revision >= next) continue;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#listeners.delete(wake);
          resolve();
        };
        this.#listeners.add(wake);
        signal.addEventListener("abort", wake, { once: true });
        if (signal.aborted) wake();
      });
      if (signal.aborted) throw new EtcdError("unknown", "given up");
    }
  }

  #holds({ key, of, revision }: Condition): boolean {
    const value = this.#values.get(key);
    return ((of === "create" ? value?.createRevision : value?.modRevision) ?? 0) === revision;
  }

  #change(steps: readonly EtcdOp[]): void {
    const modRevision = this.#revision + 1;
    const before = this.#changes.length;
    const put = (key: string, value: Uint8Array, lease: string | undefined): void => {
      const createRevision = this.#values.get(key)?.createRevision ?? modRevision;
      this.#values.set(key, { key, value, createRevision, modRevision, lease });
      this.#changes.push({ key, value, modRevision, lease });
    };
    const remove = (key: string): void => {
      if (this.#values.delete(key)) this.#changes.push({ key, value: undefined, modRevision, lease: undefined });
    };
    for (const step of steps) {
      if (step.op === "put") put(step.key, step.value, step.lease);
      else if (step.op === "delete") remove(step.key);
      else if (step.op === "delete-all") {
        for (const key of [...this.#values.keys()]) if (key.startsWith(step.prefix)) remove(key);
      }
    }
    if (this.#changes.length === before) return;
    this.#revision = modRevision;
    for (const wake of [...this.#listeners]) wake();
  }
}

/** What a client's way to etcd does to a question, an answer, or what a watch brings: it passes when this resolves. */
export type Obstacle = (what: "range" | "transact" | "watch" | "lease", key: string) => Promise<void> | undefined;

/** A client whose questions, and the answers to them, wait for what a test says. */
export function clientOf(etcd: MemoryEtcd, way: { before?: Obstacle; after?: Obstacle } = {}): Etcd {
  const pass = async <T>(what: Parameters<Obstacle>[0], key: string, ask: () => T): Promise<T> => {
    await way.before?.(what, key);
    const answer = ask();
    await way.after?.(what, key);
    return answer;
  };
  return {
    range: (query) => pass("range", query.prefix, () => etcd.range(query)),
    transact: (transaction) => pass("transact", "", () => etcd.transact(transaction)),
    grant: () => pass("lease", "", () => etcd.grant()),
    renew: (lease) => pass("lease", lease, () => (etcd.has(lease) ? 3 : 0)),
    revoke: (lease) => pass("lease", lease, () => etcd.revoke(lease)),
    compact: (revision) => pass("range", "", () => etcd.compact(revision)),
    async *watch(query, signal) {
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => reject(new EtcdError("unknown", "given up")), { once: true });
      });
      aborted.catch(() => {});
      await Promise.race([way.before?.("watch", query.prefix), aborted]);
      for await (const batch of etcd.watch(query, signal)) {
        await Promise.race([way.after?.("watch", query.prefix), aborted]);
        yield batch;
      }
    },
    close() {},
  };
}
