// The IDs of a grant's keys, which are no secret.

import type { Grant } from "../ports/keys.ts";

const ID_BYTES = 36;

/** In the order of the keys. */
export function idsOf(grant: Grant): string[] {
  let letters = Buffer.alloc(ID_BYTES);
  return Array.from({ length: grant.count }, (_, index) => {
    const bytes = grant.idBytes?.(index) ?? ID_BYTES;
    if (letters.length < bytes) letters = Buffer.alloc(bytes);
    grant.writeId(index, letters, 0);
    return letters.toString("latin1", 0, bytes);
  });
}
