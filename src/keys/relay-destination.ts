// Key relay as its destination: every check in its order, the outcome durable before it is told.

import { asFault, Fault } from "../core/fault.ts";
import { parseRuns } from "../core/runs.ts";
import type { OpenBlock } from "../vault/vault.ts";
import { sameBytes } from "./bytes.ts";
import type { Context } from "./context.ts";
import { emptyBitmap, HeldKey } from "./held.ts";
import { endBlocks } from "./intake.ts";
import { FIRST_OFFSET, kmaSerial } from "./key-id.ts";
import type { LinkBook, StoredBlock } from "./link-book.ts";
import type { LinkProtection, RelayConfirmation, RelayOffer } from "./ports.ts";
import { endContext, linkContext } from "./relay-tags.ts";
import type { Remote } from "./remote.ts";
import { kmaRow, TABLE } from "./rows.ts";

interface Checked {
  readonly serial: number;
  readonly link: LinkBook;
  readonly block: StoredBlock;
}

/**
 * Accepts a KMA-key from its source, the KM before us. `isCurrent`: whether the connection it came on still stands.
 * @throws Fault that becomes the 0x1102
 */
export async function acceptRelay(
  context: Context,
  from: Remote,
  offer: RelayOffer,
  isCurrent: () => boolean,
): Promise<RelayConfirmation> {
  const checked = check(context, from, offer);
  const { serial, link, block } = checked;
  // From here on neither block nor serial can be named again.
  link.leave(block.id);
  from.held.expect(serial);
  try {
    using open = await context.vault.open(block.id);
    await checkTag(context, { from, offer, open });
    const tag = open.endTag(endContext(offer));
    await keep(context, { ...checked, from, offer, open }, () => isCurrent() && from.held.isExpected(serial));
    return { keyId: offer.keyId, tag };
  } catch (thrown) {
    endBlocks(context, link, [block], asFault(thrown).code === "BAD_TAG" ? "mismatch" : "given_up");
    throw thrown;
  } finally {
    from.held.settle(serial);
  }
}

interface Arrival {
  readonly from: Remote;
  readonly offer: RelayOffer;
  readonly open: OpenBlock;
}

/** @throws Fault BAD_TAG, with the serial durably refused from now on */
async function checkTag(context: Context, { from, offer, open }: Arrival): Promise<void> {
  const { protection } = offer;
  if (protection.scheme === "otp") throw new Fault("PROTECTION_REFUSED");
  const tag = open.hopTag(linkContext(offer, protection));
  if (sameBytes(tag, protection.tag)) return;
  await context.vault
    .change()
    .put(...from.peerRow())
    .commit();
  throw new Fault("BAD_TAG");
}

/** Makes the KMA-key durable and enters it, unless its source gives it up meanwhile. @throws Fault */
async function keep(context: Context, arrival: Arrival & Checked, isWanted: () => boolean): Promise<void> {
  const { from, offer, open, serial, block } = arrival;
  const { length } = open;
  const row = {
    peer: from.id,
    serial,
    block: block.id,
    length,
    bornAt: context.ages.now(),
    fetched: emptyBitmap(length),
    witness: FIRST_OFFSET,
  };
  const { key: idKey, sealed } = await open.keyIdKey();
  try {
    const change = context.vault
      .change()
      .keep(sealed)
      .remove(TABLE.block, block.id)
      .put(...from.peerRow());
    from.held.giveUp(offer.givenUp, change);
    await change.put(TABLE.held, kmaRow(from.id, serial), row).commit();
    if (!isWanted()) throw await undo(context, from, serial);
  } catch (thrown) {
    idKey[Symbol.dispose]();
    throw thrown;
  }
  from.held.add(new HeldKey(row, idKey));
  context.meter.add("kma_keys_held", { peer: from.id });
}

/** What was given up while it was made durable is not kept: its source may never name it again. */
async function undo({ vault }: Context, from: Remote, serial: number): Promise<Fault> {
  await vault.change().remove(TABLE.held, kmaRow(from.id, serial)).commit();
  return new Fault("PEER_UNAVAILABLE");
}

/** @throws Fault */
function check(context: Context, from: Remote, offer: RelayOffer): Checked {
  const { protection } = offer;
  if (protection.scheme === "otp") throw new Fault("PROTECTION_REFUSED", { text: "the scheme otp is not offered yet" });
  const isOurs = offer.source === from.id && offer.destination === context.self && offer.transit.length === 0;
  if (!isOurs) throw new Fault("NOT_ON_ROUTE");
  const link = from.links.find(({ settings }) => settings.id === protection.link);
  if (link?.agreement !== "agreed") {
    throw new Fault("PROTECTION_REFUSED", { text: `link ${protection.link} is none that both ends agreed on` });
  }
  const serial = kmaSerial(offer.keyId);
  if (serial === undefined || serial === 0) throw new Fault("MALFORMED_REQUEST", { text: "key_ID names no KMA-key" });
  checkRuns(offer.givenUp);
  const block = link.find(protection);
  // Whose a block is was stamped at intake; the share may have changed since.
  if (block?.own ?? link.owns(protection.sequence)) throw new Fault("BLOCK_NOT_YOURS");
  if (block === undefined) throw new Fault(isUsed(from, protection) ? "BLOCK_USED" : "BLOCK_NOT_HELD");
  if (!from.held.isNew(serial)) throw new Fault("SERIAL_SEEN");
  if (from.held.size + from.held.expected >= context.policy.maxHeld) throw new Fault("STORE_FULL");
  return { serial, link, block };
}

/** @throws Fault MALFORMED_REQUEST */
function checkRuns(text: string): void {
  try {
    parseRuns(text);
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: "the list of serials given up is none", cause });
  }
}

/** Whether the block named serves as a KMA-key already. */
function isUsed(from: Remote, protection: LinkProtection): boolean {
  const name = `link:${protection.link}:${protection.run}:${protection.sequence}`;
  return [...from.held.keys()].some((key) => key.block === name);
}
