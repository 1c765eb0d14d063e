// The chain of writes: each names the one that it goes on from.
//
//     … ──> { id: 7c…, after: 41… } ──> { id: e0…, after: 7c… } ──> …       under one key, /qkm/<km>/write
//
// Revisions alone do not tell a restored etcd: it counts on from the snapshot, and after a while has given again the
// revision up to which a copy goes. What comes behind that is then no continuation of the copy, whose rows and marks are of
// a past that etcd has lost. The copy remembers the ID of the last write that it has, and takes no other chain.

import type { KeyValue } from "./etcd.ts";

/** What the key of the last write holds. */
export interface WriteMark {
  /** Of the owner that wrote. */
  readonly generation: number;
  /** This write alone has it, also when etcd is restored and gives its revision again. */
  readonly id: string;
  /** The write before: empty for the first of all, undefined behind one of a version that gave no IDs. */
  readonly after: string | undefined;
}

/** etcd was restored from a snapshot: what it has is no continuation of what this member has seen. */
export class OtherPast extends Error {
  override readonly name = "OtherPast";
}

/** The value of the key of the last write. */
export const writeMarkOf = (mark: WriteMark): Uint8Array => Buffer.from(JSON.stringify(mark));

/** The ID of a write: empty when there is none yet, undefined for one of a version that gave no IDs. */
export function idOfWrite(write: Pick<KeyValue, "value"> | undefined): string | undefined {
  return write === undefined ? "" : textIn(write.value, "id");
}

/**
 * The ID of the last of some writes, which go on from `last`. Where a version that gave no IDs has written, nothing is known.
 * @throws OtherPast when they do not
 */
export function goOn(last: string | undefined, writes: readonly Uint8Array[]): string | undefined {
  let at = last;
  for (const value of writes) {
    const after = textIn(value, "after");
    if (at !== undefined && after !== undefined && after !== at) throw new OtherPast(`a write goes on from ${after}`);
    at = textIn(value, "id");
  }
  return at;
}

function textIn(value: Uint8Array, name: "id" | "after"): string | undefined {
  try {
    const text: unknown = JSON.parse(Buffer.from(value).toString())[name];
    return typeof text === "string" ? text : undefined;
  } catch {
    return undefined;
  }
}
