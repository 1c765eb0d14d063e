// Verifies an audit log: every batch follows the one before, and the seals were made by the token's key.

import type { Witness } from "./audit-log.ts";
import { readSegment, type Segment, segmentsOf } from "./folder.ts";
import { type Batch, linesOf, NO_HASH, type Seal, whyBroken } from "./format.ts";

/** Whether each seal was made by the token's audit key. */
export type SealCheck = (seals: readonly Pick<Seal, "hash" | "mac">[]) => Promise<readonly boolean[]>;

/** What `qkm audit verify` found. */
export interface Verdict {
  readonly segments: number;
  readonly batches: number;
  readonly events: number;
  /** Sequences of the first and the last seal; 0 for none. */
  readonly first: number;
  readonly last: number;
  /** Bytes behind the last seal. */
  readonly unsealed: number;
  /** Seals that the token has confirmed, and so everything before each of them. */
  readonly confirmed: number;
  /** What is wrong: file, byte, and why. */
  readonly problems: readonly string[];
}

/** A part of the whole, as it is summed up. */
interface Tally {
  batches: number;
  events: number;
  first: number;
  unsealed: number;
  confirmed: number;
  previous: Seal | undefined;
  /** The last sequence that the log says was removed. */
  removedTo: number;
  readonly problems: string[];
}

/**
 * Reads the log from its first byte to its last. Without `check` the chain alone is verified: who can write the files
 * could have made it anew. `known` tells of seals that there were.
 */
export async function verifyAudit(dir: string, check?: SealCheck, known: readonly Witness[] = []): Promise<Verdict> {
  const tally: Tally = {
    batches: 0,
    events: 0,
    first: 0,
    unsealed: 0,
    confirmed: 0,
    previous: undefined,
    removedTo: 0,
    problems: [],
  };
  const hashes = new Map(known.map(({ sequence }) => [sequence, undefined as string | undefined]));
  const segments = segmentsOf(dir);
  for (const [at, segment] of segments.entries()) {
    const ends = readOne(dir, segment, at === segments.length - 1, tally, hashes);
    if (ends !== undefined && check !== undefined) await confirm(segment, ends, check, tally);
  }
  checkBeginning(tally);
  for (const one of known) checkKnown(one, hashes.get(one.sequence), tally);
  const { batches, events, first, unsealed, confirmed, previous, problems } = tally;
  return {
    segments: segments.length,
    batches,
    events,
    first,
    last: previous?.seal ?? 0,
    unsealed,
    confirmed,
    problems,
  };
}

/** Checks the chain of one segment; returns its last seal. */
function readOne(
  dir: string,
  segment: Segment,
  isNewest: boolean,
  tally: Tally,
  hashes: Map<number, string | undefined>,
): Seal | undefined {
  const { batches, end, rest } = readSegment(dir, segment);
  const [head] = batches;
  if (head !== undefined && head.seal.seal !== segment.first) {
    tally.problems.push(`${segment.file}: begins with seal ${head.seal.seal}, its name says ${segment.first}`);
  }
  for (const batch of batches) {
    checkBatch(segment, batch, tally);
    if (hashes.has(batch.seal.seal)) hashes.set(batch.seal.seal, batch.seal.hash);
  }
  if (rest > 0 && isNewest) tally.unsealed = rest;
  else if (rest > 0) tally.problems.push(`${segment.file}: byte ${end}: ${rest} bytes that no seal covers`);
  return batches.at(-1)?.seal;
}

function checkBatch({ file }: Segment, batch: Batch, tally: Tally): void {
  const { seal, at } = batch;
  if (tally.batches === 0) tally.first = seal.seal;
  const why = whyBroken(batch, tally.previous);
  if (why !== undefined) tally.problems.push(`${file}: byte ${at}: ${why}`);
  const events = linesOf(batch);
  for (const { kind, last } of events) {
    if (kind === "segments_removed" && typeof last === "number") tally.removedTo = Math.max(tally.removedTo, last);
  }
  tally.batches += 1;
  tally.events += events.length;
  tally.previous = seal;
  if (seal.seal === 1 && seal.previous !== Buffer.from(NO_HASH).toString("hex")) {
    tally.problems.push(`${file}: byte ${at}: batch 1 does not begin the chain`);
  }
}

async function confirm({ file }: Segment, seal: Seal, check: SealCheck, tally: Tally): Promise<void> {
  const [isOurs] = await check([seal]);
  if (isOurs === true) tally.confirmed += 1;
  else tally.problems.push(`${file}: seal ${seal.seal} was not made by this token's key: what it covers may be forged`);
}

function checkBeginning({ first, removedTo, problems }: Tally): void {
  if (first <= 1 || removedTo === first - 1) return;
  problems.push(`the log begins with seal ${first}, and does not say that those before it were removed`);
}

function checkKnown(
  { sequence, hash }: Witness,
  found: string | undefined,
  { previous, first, problems }: Tally,
): void {
  const last = previous?.seal ?? 0;
  if (sequence > last) {
    problems.push(`the log ends with seal ${last}, but there was a seal ${sequence}: the end is missing`);
  } else if (hash !== undefined && found !== undefined && found !== hash) {
    problems.push(`seal ${sequence} is another than there was`);
  } else if (found === undefined && sequence >= first && sequence > 0) {
    problems.push(`seal ${sequence} is missing`);
  }
}
