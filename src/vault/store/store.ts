// The contract of the store below the vault: durable, ordered, never trusted. Its tests: test/contracts/store.ts.

import type { Head, SealedRecord } from "./sealed.ts";

/** One step of a change. `value`: the bytes of a row, as `row-tags.ts` makes them; never key. What is kept is sealed. */
export type StoreOp =
  | { readonly op: "put"; readonly table: string; readonly id: string; readonly value: Uint8Array }
  | { readonly op: "remove"; readonly table: string; readonly id: string }
  | { readonly op: "keep"; readonly record: SealedRecord }
  | { readonly op: "drop"; readonly head: Head };

/** An open store. Table names and row IDs together have at most 1,000 bytes. */
export interface Store {
  /** Heads of all records, read without reading the records. */
  heads(): Iterable<Head>;
  /** Names of all tables that have a row. */
  tables(): Iterable<string>;
  /** All rows of a table whose IDs come after `after`, in the order of their IDs: whatever bytes are there. */
  rows(table: string, after?: string): Iterable<readonly [id: string, value: Uint8Array]>;
  /** A copy of one record. */
  read(head: Head): Uint8Array | undefined;
  /**
   * Makes one change durable, whole or not at all; `value` must not change after. Changes take effect in the order of
   * the calls; those of one turn of the event loop share one commit. Resolves when it is on the disk.
   *
   * When it rejects it may still have happened, and the store takes no more: what was queued behind it rejects too,
   * so that nothing is durable that follows something that is not. Close it and open another.
   */
  write(ops: readonly StoreOp[]): Promise<void>;
  /** Waits for what was written before. */
  close(): Promise<void>;
  /** Removes everything from the disk, and closes. */
  destroy(): Promise<void>;
}

const LONGEST_NAME = 1000;

/** @throws RangeError for a name that no store can file */
export function checkName(table: string, id: string): void {
  if (Buffer.byteLength(table) + Buffer.byteLength(id) <= LONGEST_NAME) return;
  throw new RangeError(`the name of a row of ${table} is longer than ${LONGEST_NAME} bytes`);
}
