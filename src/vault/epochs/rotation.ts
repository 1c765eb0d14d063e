// What an epoch's end is made of: every older record sealed anew without its used ranges, then the older KEKs destroyed.

import { Fault } from "../../core/fault.ts";
import type { Pace } from "../../core/pace.ts";
import type { Clock, Log } from "../../core/ports.ts";
import { type Kek, SealBroken } from "../../device/token.ts";
import type { IndexEntry } from "../store/record-index.ts";
import type { SealedRecord } from "../store/sealed.ts";
import type { BlockId, Range } from "../vault.ts";
import type { Epochs } from "./epochs.ts";
import { type Reader, readRecord } from "./reader.ts";

/** What one record costs about, with its part of the commit. */
const RECORD_US = 300;
/** Records that one commit replaces. */
const COMMIT_RECORDS = 16;

/** What a rotation needs; it has one slot of locked memory to itself. */
export interface RotationParts extends Reader {
  readonly epochs: Epochs;
  /** A slot of locked memory that is the rotation's alone. */
  readonly slot: Uint8Array;
  readonly clock: Clock;
  readonly log: Log;
  readonly pace: Pace;
}

/** Which ranges of a block are used and must be zero in what is re-encrypted. */
export type Used = (block: BlockId) => readonly Range[];

/**
 * Re-seals all that is older than the current epoch, and forgets the older KEKs that nothing needs.
 * @returns the KEKs to destroy; nothing can be opened or kept under them any more
 * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE, STOPPING; what was done till then stays done
 */
export async function reseal(parts: RotationParts, used: Used): Promise<readonly Kek[]> {
  const unreadable = new WeakSet<IndexEntry>();
  const old = (entry: IndexEntry) =>
    entry.head.epoch < parts.epochs.current && parts.epochs.has(entry.head.epoch) && !unreadable.has(entry);
  for (;;) {
    const due = [...parts.recordStore.index.all()].filter((entry) => old(entry) && entry.durable);
    if (due.length > 0) await resealAll(parts, due, { used, unreadable });
    else if (await settled(parts.epochs)) break;
  }
  const needed = new Set([...parts.recordStore.index.all()].filter(old).map(({ head }) => head.epoch));
  return parts.epochs.old.filter((epoch) => !needed.has(epoch)).flatMap((epoch) => parts.epochs.forget(epoch) ?? []);
}

/** True when nothing was waiting: then what was found before still holds. */
async function settled(epochs: Epochs): Promise<boolean> {
  if (!epochs.waiting) return true;
  await epochs.settled();
  return false;
}

interface Job {
  readonly used: Used;
  readonly unreadable: WeakSet<IndexEntry>;
}

async function resealAll(parts: RotationParts, due: readonly IndexEntry[], job: Job): Promise<void> {
  const queue = due.values();
  while (await resealSome(parts, queue, job));
}

/** False when nothing is left. */
async function resealSome(parts: RotationParts, queue: Iterator<IndexEntry>, job: Job): Promise<boolean> {
  const { recordStore, epochs, pace } = parts;
  const pairs: { old: IndexEntry; fresh: SealedRecord }[] = [];
  let done = 0;
  try {
    for (; done < COMMIT_RECORDS; done += 1) {
      const next = queue.next();
      if (next.done) break;
      await pace.take("housekeeping", RECORD_US);
      const fresh = await resealOne(parts, next.value, job);
      if (fresh !== undefined) pairs.push({ old: next.value, fresh });
    }
    await recordStore.replace(pairs);
  } finally {
    // Nobody else waits for these, durable or not.
    for (const { fresh } of pairs) epochs.kept(fresh);
  }
  return done > 0;
}

/** Undefined when it is gone meanwhile, or cannot be opened: then it stays as it is, for the key manager to find. */
async function resealOne(parts: RotationParts, entry: IndexEntry, job: Job): Promise<SealedRecord | undefined> {
  const { recordStore, sealer, slot, log, epochs } = parts;
  const { kind, block } = entry.head;
  if (!recordStore.index.has(entry)) return undefined;
  try {
    const length = await readRecord(parts, { kind, block }, slot);
    if (kind === "block") for (const range of job.used(block)) slot.fill(0, range.offset, range.offset + range.length);
    return await sealer.seal(kind, block, slot.subarray(0, length));
  } catch (thrown) {
    // A record whose KEK was given up at a stop is not broken.
    if (epochs.isClosed) throw new Fault("STOPPING");
    if (!recordStore.index.has(entry)) return undefined;
    if (!(thrown instanceof SealBroken)) throw thrown;
    job.unreadable.add(entry);
    log.error({ block, kind, reason: thrown.message }, "a stored record cannot be opened and is left as it is");
    return undefined;
  } finally {
    slot.fill(0);
  }
}
