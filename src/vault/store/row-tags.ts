// The bytes of a row and the keyed tag over them: the one place that knows how a row lies in a store.
//
//     format 1    01 | tag 16 | structured clone of the row
//     format 0    ff … structured clone alone: rows of stores of before there were tags, and of tables without them
//
// The tag is BLAKE2b-128 over T("qkm row", KM, table, ID) and the clone, under a key that the token makes: whoever can write
// to the disk can neither change a row nor move it to another name. That a row is missing, or is an older one of the same
// name, no tag of a row can tell: the rollback guard and the peers are witnesses of that.

import { deserialize, serialize } from "node:v8";
import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { encodeT } from "../../core/text/encoding.ts";
import { blake2b128, TAG_BYTES } from "../tags.ts";
import type { Row } from "../vault.ts";

/** Bytes of the key under which rows are tagged. */
const ROW_KEY_BYTES = 32;
/** The table of the vault's own rows. */
export const VAULT_TABLE = "qkm-vault";

const TAGGED = 1;
/** What a structured clone begins with (v8: ValueSerializer). */
const CLONE = 0xff;
const AT_ROW = 1 + TAG_BYTES;

/** What the vault has to know of the tables above it. */
export interface RowRules {
  /** Tables that are written before the token is there. Their rows carry no tag: they decide nothing about key. */
  readonly untagged: ReadonlySet<string>;
  /**
   * Tables of which each row stands for itself: a row that is lost costs what it names. Where a row of another table is lost,
   * nobody knows what was used, and the store counts as a restored copy.
   */
  readonly single: ReadonlySet<string>;
  /** Whether this KM could have written such a row: its fields and their ranges. */
  isSound(table: string, id: string, row: Row): boolean;
}

/** A row as it was found: `old` has no tag, `broken` is not what was written. */
export type FoundRow = { readonly state: "good" | "old"; readonly row: Row } | { readonly state: "broken" };

/** Writes rows with their tags and reads them back; the key comes with the token. */
export class RowTags {
  /** T("qkm row", KM). */
  readonly #head: Uint8Array;
  /** In ordinary memory: it opens nothing, and comes over the line to the token. */
  readonly #key = new Uint8Array(ROW_KEY_BYTES);
  readonly #rules: RowRules;
  #isOpen = false;

  constructor(km: KmId, rules: RowRules) {
    this.#head = encodeT("qkm row", km);
    this.#rules = rules;
  }

  get rules(): RowRules {
    return this.#rules;
  }

  /** Takes a copy of the key. */
  open(key: Uint8Array): void {
    this.#key.set(key);
    this.#isOpen = true;
  }

  close(): void {
    this.#key.fill(0);
    this.#isOpen = false;
  }

  /** The bytes of a row. @throws Fault HSM_UNAVAILABLE before the token has been there */
  write(table: string, id: string, row: Row): Uint8Array {
    const clone = serialize(row);
    if (this.#rules.untagged.has(table)) return clone;
    const bytes = new Uint8Array(AT_ROW + clone.length);
    bytes[0] = TAGGED;
    bytes.set(clone, AT_ROW);
    bytes.set(this.#tag(table, id, clone), 1);
    return bytes;
  }

  /** @throws Fault HSM_UNAVAILABLE before the token has been there */
  read(table: string, id: string, bytes: Uint8Array): FoundRow {
    if (bytes[0] === CLONE) return found(this.#rules.untagged.has(table) ? "good" : "old", bytes);
    if (bytes[0] !== TAGGED || bytes.length <= AT_ROW) return { state: "broken" };
    const clone = bytes.subarray(AT_ROW);
    // Nobody gains by knowing how much of a tag fits: a guess needs the disk each time.
    if (Buffer.compare(this.#tag(table, id, clone), bytes.subarray(1, AT_ROW)) !== 0) return { state: "broken" };
    return found("good", clone);
  }

  #tag(table: string, id: string, clone: Uint8Array): Uint8Array {
    if (!this.#isOpen) throw new Fault("HSM_UNAVAILABLE", { text: "rows cannot be used before the token was there" });
    const tag = new Uint8Array(TAG_BYTES);
    blake2b128(this.#key, taggedBytes(this.#head, [table, id], clone), tag);
    return tag;
  }
}

/** `head`, then strings as in T(…), then `rest`; in one piece, for this is done for each row that is written or read. */
function taggedBytes(head: Uint8Array, names: readonly string[], rest: Uint8Array): Uint8Array {
  const lengths = names.map((name) => Buffer.byteLength(name));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 2 + length, head.length + rest.length));
  bytes.set(head);
  let at = head.length;
  for (const [index, name] of names.entries()) {
    const length = lengths[index] ?? 0;
    at = bytes.writeUInt16BE(length, at);
    at += bytes.write(name, at);
  }
  bytes.set(rest, at);
  return bytes;
}

/** The row without a look at its tag, for whoever has no token and only tells what is there. */
export function untrustedRow(bytes: Uint8Array): Row | undefined {
  const read = found("old", bytes[0] === TAGGED ? bytes.subarray(AT_ROW) : bytes);
  return read.state === "broken" ? undefined : read.row;
}

function found(state: "good" | "old", clone: Uint8Array): FoundRow {
  try {
    const row: unknown = deserialize(clone);
    return typeof row === "object" && row !== null ? { state, row: row as Row } : { state: "broken" };
  } catch {
    return { state: "broken" };
  }
}
