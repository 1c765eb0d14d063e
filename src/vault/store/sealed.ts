// Sealed records and the heads under which the store files them.

import type { BlockId, Sealed } from "../vault.ts";

/** `block`: a link block or KMA-key. `key-id`: the key that tags its key IDs. */
export type Kind = "block" | "key-id";

/** The kinds of records: blocks, and key-ID keys, which are sealed apart. */
export const KINDS = ["block", "key-id"] as const satisfies readonly Kind[];

/** What the store knows a record by, in plain. */
export interface Head {
  readonly kind: Kind;
  readonly epoch: number;
  /** Of the plaintext. */
  readonly bytes: number;
  readonly block: BlockId;
}

/** A Sealed as the vault and its store see it: `record` is laid out as `record.ts` says. */
export interface SealedRecord extends Sealed, Head {
  readonly bytes: number;
  readonly block: BlockId;
  readonly record: Uint8Array;
}

const made = new WeakSet<object>();

/** Only the sealer makes these, and tests of stores. */
export function sealedRecord(head: Head, record: Uint8Array): SealedRecord {
  const fields: Head & { record: Uint8Array } = { ...head, record };
  made.add(fields);
  return fields as SealedRecord;
}

/** @throws TypeError when it was not made here */
export function asRecord(sealed: Sealed): SealedRecord {
  if (!made.has(sealed)) throw new TypeError("this was not sealed by the vault");
  return sealed as SealedRecord;
}
