// What this key manager needs of etcd: its v3 API in plain values. Implemented over TLS in `gateway.ts`.

/** A key with its value. A revision counts the changes of the whole cluster and is never given twice. */
export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modRevision: number;
}

/** `put` with a lease: the key is gone when the lease is. */
export type EtcdOp =
  | { readonly op: "put"; readonly key: string; readonly value: Uint8Array; readonly lease?: string }
  | { readonly op: "delete"; readonly key: string }
  /** Reads it as it is before the steps behind this one. */
  | { readonly op: "get"; readonly key: string }
  /** Every key that begins so. */
  | { readonly op: "delete-all"; readonly prefix: string };

/** What must hold of a key; revision 0: it does not exist. */
export interface Condition {
  readonly key: string;
  readonly of: "create" | "mod";
  readonly revision: number;
}

/** Steps that are done if all conditions hold, and reads that are done otherwise. */
export interface Transaction {
  readonly when: readonly Condition[];
  readonly steps: readonly EtcdOp[];
  /** Keys to read when a condition does not hold. */
  readonly otherwise?: readonly string[];
}

/** Where etcd stood when it answered. */
export interface Standing {
  /** Another for each cluster, also for one that was restored from a snapshot. */
  readonly cluster: string;
  readonly revision: number;
}

/** What became of a transaction, and at which revision. */
export interface TransactionAnswer extends Standing {
  readonly succeeded: boolean;
  /** Those of the keys read that exist: of `get`, or of `otherwise` when it did not succeed. */
  readonly found: readonly KeyValue[];
}

/** Which keys to read: all that begin with `prefix`, in pages. */
export interface RangeQuery {
  readonly prefix: string;
  /** Only keys after this one. */
  readonly after?: string;
  readonly limit?: number;
  /** As it was then; now when absent, and no answer is older than the question. */
  readonly revision?: number;
}

/** One page of keys with their values. */
export interface RangeAnswer extends Standing {
  readonly found: readonly KeyValue[];
  readonly more: boolean;
}

/** Which changes to watch: all below a prefix, from a revision on. */
export interface WatchQuery {
  readonly prefix: string;
  readonly fromRevision: number;
  /** Called whenever anything comes, also a part of a change. */
  readonly heard: () => void;
}

/** A change that was made: `value` is undefined where the key was deleted. */
export interface WatchEvent {
  readonly key: string;
  readonly value: Uint8Array | undefined;
  readonly modRevision: number;
}

/** All changes of one or several revisions, none of them in part. */
export interface WatchBatch extends Standing {
  readonly events: readonly WatchEvent[];
}

/**
 * `refused`: it did not happen, and will not if it is asked again. `compacted`: that revision is no longer kept.
 * `unknown`: no answer came, and it may have happened or happen yet.
 */
export type EtcdFailure = "refused" | "compacted" | "unknown";

/** etcd refused, or did not answer in time: then whether it wrote is unknown. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  readonly failure: EtcdFailure;

  constructor(failure: EtcdFailure, sentence: string, cause?: unknown) {
    super(sentence, { cause });
    this.failure = failure;
  }
}

/** A cluster of etcd. Every method rejects with an EtcdError. */
export interface Etcd {
  range(query: RangeQuery): Promise<RangeAnswer>;
  transact(transaction: Transaction): Promise<TransactionAnswer>;
  /** A new lease, by its ID. */
  grant(ttlS: number): Promise<string>;
  /** Seconds that the lease has from now on; 0 when it is over. */
  renew(lease: string): Promise<number>;
  /** Ends a lease and deletes its keys; one that is over is fine. */
  revoke(lease: string): Promise<void>;
  /**
   * Changes in their order, until the signal. Ends only by throwing; that it is silent says nothing. When the reason of
   * the signal is an EtcdError, whoever was watched did not do its duty: another voter is asked next.
   */
  watch(query: WatchQuery, signal: AbortSignal): AsyncIterable<WatchBatch>;
  /** Forgets what was before the revision. */
  compact(revision: number): Promise<void>;
  close(): void;
}
