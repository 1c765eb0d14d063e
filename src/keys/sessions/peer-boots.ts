// Which start of a peer's process this is: what lived in the memory of an earlier one is gone.

import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { integer, text } from "../common/extension-fields.ts";
import type { ExtensionEntry } from "../ports/peers.ts";

const NAME = "qkm_boot";

/** Told with the state when KMs connect. */
export const bootEntry = ({ boot, generation }: Pick<Context, "boot" | "generation">): ExtensionEntry => ({
  name: NAME,
  boot,
  ...(generation > 0 && { generation }),
});

/** Of the member of the peer that tells; undefined when this is another entry. @throws Fault MALFORMED_REQUEST */
export function generationIn(entry: ExtensionEntry): number | undefined {
  if (entry.name !== NAME) return undefined;
  return entry.generation === undefined ? 0 : integer(entry, "generation");
}

/** Notices that a peer's process is another than before. */
export class PeerBoots {
  readonly #known = new Map<KmId, string>();

  /** True when the entry tells that the peer was started again since it was last heard. @throws Fault MALFORMED_REQUEST */
  isNew(peer: KmId, entry: ExtensionEntry): boolean {
    if (entry.name !== NAME) return false;
    const boot = text(entry, "boot");
    const known = this.#known.get(peer);
    this.#known.set(peer, boot);
    return known !== undefined && known !== boot;
  }
}
