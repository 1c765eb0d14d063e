// Brings a stored record into locked memory, whatever a rotation does to it meanwhile.

import { SealBroken } from "../../device/token.ts";
import { TAG_BYTES } from "../store/record.ts";
import { type IndexEntry, isStored } from "../store/record-index.ts";
import type { RecordStore } from "../store/record-store.ts";
import type { Head, Kind } from "../store/sealed.ts";
import type { BlockId } from "../vault.ts";
import type { Sealer } from "./sealer.ts";

/** What it takes to bring a record into locked memory. */
export interface Reader {
  readonly recordStore: RecordStore;
  readonly sealer: Sealer;
}

/**
 * Opens the record of a block into the front of `into`, and returns the plaintext's length.
 * @throws Fault HSM_UNAVAILABLE, STORE_UNAVAILABLE; SealBroken; Error when there is no such record
 */
export async function readRecord(
  reader: Reader,
  name: { kind: Kind; block: BlockId },
  into: Uint8Array,
): Promise<number> {
  const { recordStore, sealer } = reader;
  for (;;) {
    const entry = recordStore.index.get(name.kind, name.block);
    if (!isStored(entry)) throw new Error(`there is no ${name.kind} record of ${name.block}`);
    const { head, durable } = entry;
    if (head.bytes + TAG_BYTES > into.length) throw new SealBroken(`${head.block} is larger than a slot of the slab`);
    try {
      const { filed, record } = await found(recordStore, entry);
      await sealer.open(filed, record, into);
      return head.bytes;
    } catch (thrown) {
      // Sealed anew, destroyed or replaced since: look again.
      if (recordStore.index.has(entry) && entry.durable === durable) throw thrown;
    }
  }
}

/** While a record is being replaced, the store has the one or the other. @throws SealBroken when it has none */
async function found(
  recordStore: RecordStore,
  { head, older, durable }: IndexEntry,
): Promise<{ filed: Head; record: Uint8Array }> {
  for (const filed of durable || older === undefined ? [head] : [older, head]) {
    const record = await recordStore.read(filed);
    if (record !== undefined) return { filed, record };
  }
  throw new SealBroken(`the record of ${head.block} is missing`);
}
