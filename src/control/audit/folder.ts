// The folder of the audit log as a reader sees it: segments in their order, each with its batches.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type AuditLine, type Batch, linesOf, type Reading, readBatches } from "./format.ts";

const SEGMENT = /^audit-(\d{15})\.jsonl$/;

/** The name of the segment whose first seal has that sequence. */
export const segmentName = (first: number): string => `audit-${String(first).padStart(15, "0")}.jsonl`;

/** One file of the audit log. */
export interface Segment {
  readonly file: string;
  /** The sequence of its first seal, by its name. */
  readonly first: number;
}

/** Oldest first; none when the folder is not there. */
export function segmentsOf(dir: string): Segment[] {
  return namesIn(dir)
    .flatMap((file) => {
      const first = SEGMENT.exec(file)?.[1];
      return first === undefined ? [] : [{ file, first: Number(first) }];
    })
    .sort((a, b) => a.first - b.first);
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

/** A segment with what is in it. A segment that was removed meanwhile is empty. */
export function readSegment(dir: string, { file }: Segment): Reading {
  try {
    return readBatches(readFileSync(join(dir, file)));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
    return { batches: [], end: 0, rest: 0 };
  }
}

/** All batches from the one with the sequence `from` on, oldest first. */
export function* batchesFrom(dir: string, from: number): Generator<Batch> {
  const segments = segmentsOf(dir);
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    if (next !== undefined && next.first <= from) continue;
    for (const batch of readSegment(dir, segment).batches) if (batch.seal.seal >= from) yield batch;
  }
}

/** The last events, oldest first. */
export function lastEvents(dir: string, most: number): AuditLine[] {
  let lines: AuditLine[] = [];
  for (const segment of segmentsOf(dir).toReversed()) {
    for (const batch of readSegment(dir, segment).batches.toReversed()) {
      lines = [...linesOf(batch), ...lines];
      if (lines.length >= most) return lines.slice(-most);
    }
  }
  return lines;
}
