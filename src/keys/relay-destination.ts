// Key relay as its destination: every check in its order, the outcome durable before it is told.

import { Fault } from "../core/fault.ts";
import { sameBytes } from "./bytes.ts";
import type { Context } from "./context.ts";
import { emptyBitmap, HeldKey } from "./held.ts";
import { endBlocks } from "./intake.ts";
import { FIRST_OFFSET, kmaSerial } from "./key-id.ts";
import type { LinkBook, StoredBlock } from "./link-book.ts";
import type { Neighbour } from "./neighbour.ts";
import type { RelayConfirmation, RelayOffer } from "./ports.ts";
import { endContext, linkContext } from "./relay-tags.ts";
import { kmaRow, TABLE } from "./rows.ts";

interface Checked {
  readonly serial: number;
  readonly link: LinkBook;
  readonly block: StoredBlock;
}

/**
 * Accepts a KMA-key from its source, our neighbour. `isCurrent`: whether the connection it came on still stands.
 * @throws Fault that becomes the 0x1102
 */
export async function acceptRelay(
  context: Context,
  from: Neighbour,
  offer: RelayOffer,
  isCurrent: () => boolean,
): Promise<RelayConfirmation> {
  const { serial, link, block } = check(context, from, offer);
  // From here on neither block nor serial can be named again.
  link.leave(block.id);
  from.held.accept(serial);
  using open = await context.vault.open(block.id).catch((thrown: unknown) => {
    endBlocks(context, link, [block], "given_up");
    throw thrown;
  });
  const tag = open.hopTag(linkContext(offer, offer.protection));
  if (!sameBytes(tag, offer.protection.tag)) {
    endBlocks(context, link, [block], "mismatch");
    await context.vault
      .change()
      .put(...from.peerRow())
      .commit();
    throw new Fault("BAD_TAG");
  }
  const { key: idKey, sealed } = await open.keyIdKey();
  if (!isCurrent()) {
    idKey[Symbol.dispose]();
    endBlocks(context, link, [block], "given_up");
    throw new Fault("PEER_UNAVAILABLE");
  }
  const length = open.length;
  const bornAt = context.ages.now();
  const row = {
    peer: from.id,
    serial,
    block: block.id,
    length,
    bornAt,
    fetched: emptyBitmap(length),
    witness: FIRST_OFFSET,
  };
  const change = context.vault
    .change()
    .keep(sealed)
    .remove(TABLE.block, block.id)
    .put(...from.peerRow());
  from.held.giveUp(offer.givenUp, change);
  await change.put(TABLE.held, kmaRow(from.id, serial), row).commit();
  from.held.add(new HeldKey(row, idKey));
  context.meter.add("kma_keys_held", { peer: from.id });
  return { keyId: offer.keyId, tag: open.endTag(endContext(offer)) };
}

/** @throws Fault */
function check(context: Context, from: Neighbour, offer: RelayOffer): Checked {
  const { protection } = offer;
  const neighbours = offer.source === from.id && offer.destination === context.self && offer.transit.length === 0;
  if (!neighbours) throw new Fault("NOT_ON_ROUTE");
  const link = from.links.find(({ settings }) => settings.id === protection.link);
  if (link?.agreement !== "agreed") {
    throw new Fault("PROTECTION_REFUSED", { text: `link ${protection.link} is none that both ends agreed on` });
  }
  const serial = kmaSerial(offer.keyId);
  if (serial === undefined || serial === 0) throw new Fault("MALFORMED_REQUEST", { text: "key_ID names no KMA-key" });
  if (link.owns(protection.sequence)) throw new Fault("BLOCK_NOT_YOURS");
  const block = link.find(protection);
  if (block === undefined) throw new Fault(isUsed(from, offer) ? "BLOCK_USED" : "BLOCK_NOT_HELD");
  if (block.own) throw new Fault("BLOCK_NOT_YOURS");
  if (!from.held.isNew(serial)) throw new Fault("SERIAL_SEEN");
  if (from.held.size >= context.policy.maxHeld) throw new Fault("STORE_FULL");
  return { serial, link, block };
}

/** Whether the block named serves as a KMA-key already. */
function isUsed(from: Neighbour, { protection }: RelayOffer): boolean {
  const name = `link:${protection.link}:${protection.run}:${protection.sequence}`;
  return [...from.held.keys()].some((key) => key.block === name);
}
