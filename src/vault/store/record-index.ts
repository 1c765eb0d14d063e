// Which records the store will have once all that is queued is done, and which of them are durable now.

import type { BlockId } from "../vault.ts";
import { type Head, KINDS, type Kind } from "./sealed.ts";

/** One record; a newer record of the same block is another entry. */
export interface IndexEntry {
  readonly head: Head;
  durable: boolean;
  /** The record of the same bytes that this one takes the place of: there until this one is durable. */
  readonly older: Head | undefined;
}

/** Whether the store has it, or what it takes the place of. */
export const isStored = (entry: IndexEntry | undefined): entry is IndexEntry =>
  entry !== undefined && (entry.durable || entry.older !== undefined);

/** What a record of so many bytes of plaintext takes on the disk, about: large ones take whole pages. */
export const diskBytes = (bytes: number): number =>
  bytes < 1800 ? bytes + 200 : Math.ceil((bytes + 200) / 4096) * 4096;

/** Which records there will be, by kind and block, and what they take on the disk. */
export class RecordIndex {
  readonly #entries = new Map<Kind, Map<BlockId, IndexEntry>>(KINDS.map((kind) => [kind, new Map()]));
  #bytes = 0;

  /** Fills it with what the store has; the newest epoch counts. */
  constructor(heads: Iterable<Head>) {
    for (const head of heads) {
      const known = this.get(head.kind, head.block);
      if (known === undefined || known.head.epoch < head.epoch) this.add(head).durable = true;
    }
  }

  /** On the disk, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get(kind: Kind, block: BlockId): IndexEntry | undefined {
    return this.#of(kind).get(block);
  }

  add(head: Head, older?: Head): IndexEntry {
    this.remove(head.kind, head.block);
    const entry = { head, durable: false, older };
    this.#of(head.kind).set(head.block, entry);
    this.#bytes += diskBytes(head.bytes);
    return entry;
  }

  remove(kind: Kind, block: BlockId): IndexEntry | undefined {
    const entry = this.get(kind, block);
    if (entry === undefined) return undefined;
    this.#of(kind).delete(block);
    this.#bytes -= diskBytes(entry.head.bytes);
    return entry;
  }

  /** True while it is the record of its block. */
  has(entry: IndexEntry): boolean {
    return this.get(entry.head.kind, entry.head.block) === entry;
  }

  *all(): Iterable<IndexEntry> {
    for (const entries of this.#entries.values()) yield* entries.values();
  }

  *blocks(): Iterable<BlockId> {
    for (const [block, entry] of this.#of("block")) if (isStored(entry)) yield block;
  }

  #of(kind: Kind): Map<BlockId, IndexEntry> {
    const entries = this.#entries.get(kind);
    if (entries === undefined) throw new TypeError(`no kind of record: ${kind}`);
    return entries;
  }
}
