// The IDs of a grant's keys, which are no secret.

import type { Grant } from "../ports/keys.ts";

const ID_BYTES = 36;

/** In the order of the keys. */
export const idsOf = (grant: Grant): readonly string[] =>
  Array.from({ length: grant.count }, (_, index) => {
    const letters = Buffer.alloc(grant.idBytes?.(index) ?? ID_BYTES);
    grant.writeId(index, letters, 0);
    return letters.toString("latin1");
  });
