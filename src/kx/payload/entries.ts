// The entries of an `extension`: checked when they arrive, packed into frames when they leave.

import { Fault } from "../../core/fault.ts";
import type { ExtensionEntry } from "../../keys/ports/peers.ts";
import { MAX_PAYLOAD_BYTES } from "../../wire/frame.ts";
import type { JsonObject } from "../../wire/types.ts";

/** Room for the other parameters of a 0x1103 that carries entries. */
const ENVELOPE_BYTES = 64;

/** The most bytes that the JSON array of one tell's entries may take in UTF-8. */
export const MAX_TELL_BYTES = MAX_PAYLOAD_BYTES - ENVELOPE_BYTES;

const BRACKETS_BYTES = 2;
const COMMA_BYTES = 1;

/**
 * The entries in their order, in as few lists as one pass can, each fit for one tell; no list for no entry.
 * @throws RangeError when a single entry is too large
 */
export function packEntries(entries: readonly ExtensionEntry[]): ExtensionEntry[][] {
  const lists: ExtensionEntry[][] = [];
  let free = 0;
  for (const entry of entries) {
    const bytes = jsonBytes(entry);
    if (bytes + BRACKETS_BYTES > MAX_TELL_BYTES) {
      throw new RangeError(`an entry ${entry.name} of ${bytes} bytes fits no frame`);
    }
    const list = lists.at(-1);
    if (list === undefined || bytes + COMMA_BYTES > free) {
      lists.push([entry]);
      free = MAX_TELL_BYTES - BRACKETS_BYTES - bytes;
    } else {
      list.push(entry);
      free -= bytes + COMMA_BYTES;
    }
  }
  return lists;
}

const jsonBytes = (json: object): number => Buffer.byteLength(JSON.stringify(json), "utf8");

/** An `extension` that arrived. @throws Fault MALFORMED_REQUEST when an entry has no name */
export function entriesOf(extension: readonly JsonObject[] = []): readonly ExtensionEntry[] {
  for (const [index, entry] of extension.entries()) {
    if (!isNamed(entry)) throw new Fault("MALFORMED_REQUEST", { text: `extension[${index}].name must be a string` });
  }
  return extension.filter(isNamed);
}

const isNamed = (entry: JsonObject): entry is ExtensionEntry =>
  Object.hasOwn(entry, "name") && typeof entry.name === "string";

/** The only entry of that name, if there is one. @throws Fault MALFORMED_REQUEST when there are several */
export function entryNamed(entries: readonly ExtensionEntry[], name: string): ExtensionEntry | undefined {
  const [entry, another] = entries.filter((candidate) => candidate.name === name);
  if (another !== undefined) throw new Fault("MALFORMED_REQUEST", { text: `extension has ${name} more than once` });
  return entry;
}
