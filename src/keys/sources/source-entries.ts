// What two KMs tell each other of a block made of boxes' keys, as an entry of an extension (Q.4163 0x1103).
//
//   {"name":"qkm_source_block","link":"ab","run":1,"sequence":7,"key_IDs":["…"]}
//
// Success (0x1104) says that the block is durable at the other end; BUSY that both began one at the same time.

import { LIMITS } from "../../core/limits.ts";
import type { BlockPosition } from "../common/block-position.ts";
import { integer, malformed, text } from "../common/extension-fields.ts";
import type { ExtensionEntry } from "../ports/peers.ts";

const NAME = "qkm_source_block";
/** An ID of a key, or of a place in a key stream; a thousand of the longest fit a frame. */
const KEY_ID = /^[A-Za-z0-9:._-]{1,60}$/;

/** A block that the other KM offers: where it belongs, and what its key is called at the box there. */
export interface OfferedBlock extends BlockPosition {
  readonly link: string;
  readonly names: readonly string[];
}

/** The offer of a block's names as an extension entry of a Kx message. */
export const entryOfBlock = ({ link, run, sequence, names }: OfferedBlock): ExtensionEntry => ({
  name: NAME,
  ...{ link, run, sequence },
  key_IDs: names,
});

/** @throws Fault MALFORMED_REQUEST */
export function readOfferedBlock(entry: ExtensionEntry): OfferedBlock {
  const names: unknown = entry.key_IDs;
  if (!areNames(names)) throw malformed(entry, "key_IDs");
  return { link: text(entry, "link"), run: integer(entry, "run"), sequence: integer(entry, "sequence"), names };
}

function areNames(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > LIMITS.keys) return false;
  return value.every((name) => typeof name === "string" && KEY_ID.test(name)) && new Set(value).size === value.length;
}
