// A KMA-key under pads of the next hop: taken in their order, durable, and then masked.

import type { Change, Job, OpenBlock } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { TABLE } from "../common/rows.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Segment } from "../links/own-pads.ts";
import { countPadsLost } from "../links/pad-audit.ts";
import type { OtpProtection, RelayOffer } from "../ports/peers.ts";
import { pieces } from "./relay-incoming.ts";
import { otpContext } from "./relay-tags.ts";

/** What pads take in memory. */
export const padJob = ({ pads }: LinkInventory, segments: readonly Segment[]): Job["blocks"] =>
  segments.map(({ block }) => {
    const begun = pads.begun?.block === block ? pads.begun.offset : 0;
    return { block: block.id, used: () => (begun === 0 ? [] : [{ offset: 0, length: begun }]) };
  });

/** Takes pads for good, and enters it in a change that is to be durable before anything leaves under them. */
export function takePads(link: LinkInventory, segments: readonly Segment[], change: Change): void {
  for (const block of link.pads.take(segments)) change.remove(TABLE.block, block.id).destroy(block.id);
  change.put(TABLE.pad, link.settings.id, link.padRow());
}

/**
 * Destroys pads that cannot be read, or what is left of those that the next hop did not hold when they were named: others
 * come after them.
 */
export function dropPads(
  context: Context,
  link: LinkInventory,
  segments: readonly Segment[],
  reason: "unreadable" | "gap",
): void {
  const bytes = link.pads.drop(segments);
  if (bytes === 0) return;
  countPadsLost(context, { link: link.settings.id, direction: "out", reason }, bytes);
  const change = context.vault.change();
  for (const { block } of segments) change.remove(TABLE.block, block.id).destroy(block.id);
  change.commit().catch(() => {
    // A restart finds them, and drops them again.
  });
}

/** Masks a KMA-key with pads that are taken durably, and whose blocks are `open`. */
export function protect(
  key: OpenBlock,
  offer: RelayOffer,
  segments: readonly Segment[],
  open: readonly OpenBlock[],
): Pick<RelayOffer, "key"> & { readonly protection: OtpProtection } {
  const pads = segments.map(({ block: { link, run, sequence }, offset, length }) => ({
    link,
    run,
    sequence,
    offset,
    length,
  }));
  const masked = key.mask(pieces(segments, open), otpContext(offer, pads));
  return { key: masked.key, protection: { scheme: "otp", pads, tag: masked.tag } };
}
