// Brings a local copy to where etcd is, and keeps it there.

import type { Log } from "../core/ports.ts";
import type { StoreOp } from "../vault/store/store.ts";
import { type Etcd, EtcdError, type Standing, type WatchBatch } from "./etcd.ts";
import { type Layout, storeOpOf } from "./layout.ts";
import type { LocalCopy } from "./local-copy.ts";

/** Keys that one question asks for: rows are small, a sealed block has 32 KiB. */
const ROWS_AT_ONCE = 500;
const RECORDS_AT_ONCE = 32;

/** What has been caught up till then stays, and the next try goes on from there. */
const CATCH_UP_MS = 5_000;

/** What a member needs to follow the writes of the active one. */
export interface Following {
  readonly etcd: Etcd;
  readonly layout: Layout;
  readonly copy: LocalCopy;
  readonly log: Log;
}

/** Why a copy knows more than etcd does: etcd was restored from a backup, so key may have been used that it calls unused. */
export function isRestored({ at }: LocalCopy, now: Standing): boolean {
  return at.revision > 0 && (at.cluster !== now.cluster || at.revision > now.revision);
}

/**
 * Brings the copy to revision `to.revision`, which is that of the last write.
 * @throws EtcdError; Fault or Error of the local store
 */
export async function catchUp(following: Following, to: Standing): Promise<void> {
  const { copy, log } = following;
  await copy.mend();
  if (copy.at.cluster === to.cluster && copy.at.revision === to.revision) return;
  if (copy.at.revision === 0 || isRestored(copy, to)) return refill(following, to);
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(CATCH_UP_MS)]);
  try {
    await follow(following, signal, () => {
      if (copy.at.revision >= to.revision) done.abort();
    });
  } catch (thrown) {
    if (!(thrown instanceof EtcdError) || thrown.failure !== "compacted") throw thrown;
    log.info(
      { from: copy.at.revision, to: to.revision },
      "etcd has forgotten the way to the present: all is read anew",
    );
    await refill(following, to);
  }
}

/** Applies what is written from now on, in its order, until the signal. @throws EtcdError; Fault of the local store */
export async function follow(
  { etcd, layout, copy }: Following,
  signal: AbortSignal,
  applied: (batch: WatchBatch) => void,
): Promise<void> {
  for await (const batch of etcd.watch(layout.prefix, copy.at.revision + 1, signal)) {
    const ops = batch.events.flatMap(({ key, value }) => storeOpOf(layout, key, value) ?? []);
    await copy.apply(ops, {
      cluster: batch.cluster,
      revision: Math.max(...batch.events.map((event) => event.modRevision)),
    });
    applied(batch);
    if (signal.aborted) return;
  }
}

async function refill({ etcd, layout, copy }: Following, { cluster, revision }: Standing): Promise<void> {
  await copy.refill(all(etcd, layout, revision), { cluster, revision });
}

/** Everything that the store had at a revision, in parts. */
async function* all(etcd: Etcd, layout: Layout, revision: number): AsyncGenerator<readonly StoreOp[]> {
  for (const [prefix, limit] of [[layout.rows, ROWS_AT_ONCE] as const, [layout.records, RECORDS_AT_ONCE] as const]) {
    let after: string | undefined;
    for (let more = true; more; ) {
      const answer = await etcd.range({ prefix, limit, revision, ...(after !== undefined && { after }) });
      yield answer.found.flatMap(({ key, value }) => storeOpOf(layout, key, value) ?? []);
      after = answer.found.at(-1)?.key;
      more = answer.more;
    }
  }
}
