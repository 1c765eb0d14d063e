// Brings a local copy to where etcd is, and keeps it there.

import type { Clock, Log } from "../core/ports.ts";
import type { StoreOp } from "../vault/store/store.ts";
import { type Etcd, EtcdError, type Standing, type WatchBatch } from "./etcd.ts";
import { type Layout, storeOpOf } from "./layout.ts";
import { goOn, idOfWrite, OtherPast } from "./lineage.ts";
import type { CopiedTo, LocalCopy } from "./local-copy.ts";
import { Silence } from "./silence.ts";

/** Keys that one question asks for: rows are small, a sealed block has 32 KiB. */
const ROWS_AT_ONCE = 500;
const RECORDS_AT_ONCE = 32;

/** Etcd has what is asked for, and is given up when nothing of it comes for so long. */
const SILENT_MS = 2_000;

/** What a member needs to follow the writes of the active one. */
export interface Following {
  readonly etcd: Etcd;
  readonly layout: Layout;
  readonly copy: LocalCopy;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly log: Log;
}

/**
 * Whether a copy knew more than etcd does: etcd was restored from a backup, so key may have been used that it calls unused.
 * @param before what the copy was of before etcd was asked: while the answer is on its way it may learn what came later
 */
export function isRestored(before: CopiedTo, now: Standing): boolean {
  return before.revision > 0 && (before.cluster !== now.cluster || before.revision > now.revision);
}

/** From where on to follow, and until when. */
export interface Way {
  /** The revision behind the last of which the copy has everything. */
  readonly from: number;
  readonly signal: AbortSignal;
  readonly heard: () => void;
  readonly applied: (batch: WatchBatch) => void;
}

/**
 * Brings the copy to revision `to.revision`, which is that of the last write, or further.
 * @throws EtcdError, also when nothing came for long or the signal was first; Fault or Error of the local store; OtherPast
 */
export async function catchUp(following: Following, to: Standing, way: Way): Promise<void> {
  const { copy, clock, log } = following;
  await copy.mend();
  if (copy.at.cluster === to.cluster && copy.at.revision === to.revision) return;
  if (copy.at.revision === 0) return refill(following, way.signal);
  if (isRestored(copy.at, to)) throw new OtherPast(`etcd stands at ${to.revision}, the copy at ${copy.at.revision}`);
  const done = new AbortController();
  using silence = new Silence(clock, SILENT_MS);
  const heard = (): void => {
    silence.heard();
    way.heard();
  };
  const applied = (batch: WatchBatch): void => {
    way.applied(batch);
    if (copy.at.revision >= to.revision) done.abort();
  };
  try {
    const signal = AbortSignal.any([way.signal, silence.signal, done.signal]);
    await follow(following, { from: way.from, signal, heard, applied });
  } catch (thrown) {
    if (!(thrown instanceof EtcdError) || thrown.failure !== "compacted") throw thrown;
    log.info(
      { from: copy.at.revision, to: to.revision },
      "etcd has forgotten the way to the present: all is read anew",
    );
    await refill(following, way.signal);
  }
}

/** Applies what is written from now on, in its order, until the signal. @throws EtcdError; Fault of the local store; OtherPast */
export async function follow({ etcd, layout, copy }: Following, way: Way): Promise<void> {
  const { from, signal, heard, applied } = way;
  for await (const batch of etcd.watch({ prefix: layout.prefix, fromRevision: from, heard }, signal)) {
    const ops = batch.events.flatMap(({ key, value }) => storeOpOf(layout, key, value) ?? []);
    const writes = batch.events.flatMap(({ key, value, modRevision }) =>
      key === layout.write && value !== undefined && modRevision > copy.at.revision ? [value] : [],
    );
    await copy.apply(ops, {
      cluster: batch.cluster,
      revision: Math.max(...batch.events.map((event) => event.modRevision)),
      lastWrite: goOn(copy.at.lastWrite, writes),
    });
    applied(batch);
    if (signal.aborted) return;
  }
}

/**
 * Reads everything anew: as it is now, not as the last write left it, which etcd has forgotten after a quiet hour.
 * @throws EtcdError, also when the signal came first; Fault or Error of the local store
 */
export async function refill({ etcd, layout, copy }: Following, signal: AbortSignal): Promise<void> {
  const { cluster, revision, found } = await etcd.range({ prefix: layout.write, limit: 1 });
  await copy.refill(all(etcd, layout, revision, signal), { cluster, revision, lastWrite: idOfWrite(found[0]) });
}

/** Everything that the store had at a revision, in parts. @throws EtcdError, also when the signal came first */
async function* all(etcd: Etcd, layout: Layout, revision: number, signal: AbortSignal): AsyncGenerator<StoreOp[]> {
  for (const [prefix, limit] of [[layout.rows, ROWS_AT_ONCE] as const, [layout.records, RECORDS_AT_ONCE] as const]) {
    let after: string | undefined;
    for (let more = true; more; ) {
      const answer = await etcd.range({ prefix, limit, revision, ...(after !== undefined && { after }) });
      if (signal.aborted) throw new EtcdError("unknown", "reading everything was given up");
      yield answer.found.flatMap(({ key, value }) => storeOpOf(layout, key, value) ?? []);
      after = answer.found.at(-1)?.key;
      more = answer.more;
    }
  }
}
