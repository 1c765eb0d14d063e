// What an offer names of this KM's link blocks: checked, taken out of the books for good, and opened as a KMA-key.

import type { EndReason } from "../../core/counters.ts";
import { Fault } from "../../core/fault.ts";
import { LIMITS } from "../../core/limits.ts";
import type { BlockId, Change, Job, OpenBlock, OpenJob } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET, STEP } from "../common/key-id.ts";
import { TABLE } from "../common/rows.ts";
import type { LinkInventory, StoredBlock } from "../links/link-inventory.ts";
import { countPadsLost, notePads } from "../links/pad-audit.ts";
import type { TakenPads } from "../links/received-pads.ts";
import type { Peer } from "../peers/peer.ts";
import type { LinkProtection, OtpProtection, RelayOffer } from "../ports/peers.ts";
import { areSameTags, linkContext, otpContext } from "./relay-tags.ts";

/** Bytes of pad for the tag of one KMA-key. */
export const TAG_PAD = 32;
const LARGEST_KEY = 32_768;

/** A KMA-key that came, as far as it lies in this KM's blocks: nobody can name them again. */
export interface Incoming {
  /** Bytes of the KMA-key. */
  readonly length: number;
  /** What opening it takes. */
  readonly job: Job;
  /** The name under which it is kept here, if it is: of its link block, or the one that is proposed. */
  nameOr(proposed: BlockId): BlockId;
  /** The KMA-key in memory, as `block`; undefined when its tag is wrong. `open` begins with what `job` asks. */
  open(open: OpenJob, block: BlockId): OpenBlock | undefined;
  /** Enters in a change that it is used. `isKept`: the KMA-key stays here under `nameOr`, and is not destroyed. */
  use(change: Change, isKept: boolean): void;
  /** Enters in a change that it ends unused; counts it. */
  lose(change: Change, reason: EndReason): void;
}

/**
 * Makes the checks of key-protocol 2 on the blocks that an offer names, and takes them.
 * @throws Fault PROTECTION_REFUSED, BLOCK_NOT_YOURS, BLOCK_USED, BLOCK_NOT_HELD, MALFORMED_REQUEST: nothing is taken then
 */
export function checkIncoming(context: Context, from: Peer, offer: RelayOffer): () => Incoming {
  const { protection } = offer;
  if (protection.scheme === "link") return checkBlock(context, from, offer, protection);
  return checkPads(context, from, offer, protection);
}

/** @throws Fault PROTECTION_REFUSED */
function agreedLink({ links }: Peer, id: string): LinkInventory {
  const link = links.find(({ settings }) => settings.id === id);
  if (link?.agreement === "agreed") return link;
  throw new Fault("PROTECTION_REFUSED", { text: `link ${id} is none that both ends agreed on` });
}

function checkBlock(context: Context, from: Peer, offer: RelayOffer, protection: LinkProtection): () => Incoming {
  if (offer.source !== from.id) {
    throw new Fault("PROTECTION_REFUSED", { text: "only the source names a link block as KMA-key" });
  }
  const link = agreedLink(from, protection.link);
  const block = link.find(protection);
  // Whose a block is was stamped at intake; the share may have changed since.
  if (block?.own ?? link.owns(protection.sequence)) throw new Fault("BLOCK_NOT_YOURS");
  if (block === undefined) throw new Fault(isKept(from, protection) ? "BLOCK_USED" : "BLOCK_NOT_HELD");
  if (link.padCopies.isBegun(block)) throw new Fault("BLOCK_USED");
  return () => {
    link.leave(block.id);
    return new NamedBlock(context, link, block, offer);
  };
}

/** Whether the block named serves as a KMA-key already. */
function isKept({ held }: Peer, { link, run, sequence }: LinkProtection): boolean {
  const name = `link:${link}:${run}:${sequence}`;
  return [...held.keys()].some((key) => key.block === name);
}

function checkPads(context: Context, from: Peer, offer: RelayOffer, protection: OtpProtection): () => Incoming {
  const { pads } = protection;
  const [first] = pads;
  const link = agreedLink(from, first?.link ?? "");
  if (pads.length > LIMITS.pads || pads.some((pad) => pad.link !== first?.link)) {
    throw new Fault("MALFORMED_REQUEST", { text: `pads are at most ${LIMITS.pads} parts of one link's blocks` });
  }
  const { length } = offer.key;
  const bytes = pads.reduce((sum, pad) => sum + pad.length, 0);
  const isSize = length > FIRST_OFFSET && length <= LARGEST_KEY && length % STEP === 0;
  if (!isSize || bytes !== length + TAG_PAD) {
    throw new Fault("MALFORMED_REQUEST", { text: `the pads must be ${TAG_PAD} bytes longer than the key` });
  }
  const segments = link.padCopies.check(pads);
  return () => new NamedPads(context, link, link.padCopies.take(segments), offer);
}

/** Scheme `link`: the KMA-key is the block. */
class NamedBlock implements Incoming {
  readonly length: number;
  readonly job: Job;
  readonly #context: Context;
  readonly #link: LinkInventory;
  readonly #block: StoredBlock;
  readonly #offer: RelayOffer;

  constructor(context: Context, link: LinkInventory, block: StoredBlock, offer: RelayOffer) {
    this.#context = context;
    this.#link = link;
    this.#block = block;
    this.#offer = offer;
    this.length = link.settings.blockBytes;
    this.job = { blocks: [{ block: block.id }], emptySlots: 0 };
  }

  nameOr(): BlockId {
    return this.#block.id;
  }

  open({ blocks }: OpenJob): OpenBlock | undefined {
    const [open] = blocks;
    if (open === undefined) throw new Error("the block named is not open");
    const tag = open.hopTag(linkContext(this.#offer, this.#block));
    return areSameTags(tag, this.#offer.protection.tag) ? open : undefined;
  }

  use(change: Change, isKept: boolean): void {
    change.remove(TABLE.block, this.#block.id);
    if (!isKept) change.destroy(this.#block.id);
  }

  lose(change: Change, reason: EndReason): void {
    this.use(change, false);
    const { id: link } = this.#link.settings;
    const { run, sequence } = this.#block;
    this.#context.meter.add("blocks_ended", { link, reason });
    this.#context.audit.note("blocks_ended", { link, run, reason }, { first: sequence, end: sequence + 1 });
  }
}

/** Scheme `otp`: the KMA-key is under pads. */
class NamedPads implements Incoming {
  readonly length: number;
  readonly job: Job;
  readonly #context: Context;
  readonly #link: LinkInventory;
  readonly #taken: TakenPads;
  readonly #offer: RelayOffer;

  constructor(context: Context, link: LinkInventory, taken: TakenPads, offer: RelayOffer) {
    this.#context = context;
    this.#link = link;
    this.#taken = taken;
    this.#offer = offer;
    this.length = offer.key.length;
    const used = (block: StoredBlock) => () => link.padCopies.usedOf(block);
    this.job = { blocks: taken.segments.map(({ block }) => ({ block: block.id, used: used(block) })), emptySlots: 1 };
    this.#count("gap", taken.skipped);
  }

  nameOr(proposed: BlockId): BlockId {
    return proposed;
  }

  open({ blocks, emptySlots }: OpenJob, block: BlockId): OpenBlock | undefined {
    const { key, protection } = this.#offer;
    const [emptySlot] = emptySlots;
    if (emptySlot === undefined || protection.scheme !== "otp") throw new Error("there is no room for the key");
    const context = otpContext(this.#offer, protection.pads);
    return emptySlot.unmask(block, { key, tag: protection.tag }, pieces(this.#taken.segments, blocks), context);
  }

  use(change: Change): void {
    this.#context.meter.add("pad_bytes", this.#labels("in"), this.length + TAG_PAD);
    this.#link.padBytes.in += this.length + TAG_PAD;
    notePads(this.#context, "in", this.#taken.segments, this.#offer);
    this.#end(change);
  }

  lose(change: Change, reason: EndReason): void {
    this.#count(reason, this.length + TAG_PAD);
    this.#end(change);
  }

  #end(change: Change): void {
    this.#link.padCopies.end(this.#taken, change);
    change.put(TABLE.pad, this.#link.settings.id, this.#link.padRow());
  }

  #count(reason: EndReason, bytes: number): void {
    if (bytes > 0) countPadsLost(this.#context, { ...this.#labels("in"), reason }, bytes);
  }

  #labels(direction: "in") {
    return { link: this.#link.settings.id, direction };
  }
}

/** Segments with their blocks, which are open in the same order. */
export function pieces(
  segments: readonly { readonly offset: number; readonly length: number }[],
  open: readonly OpenBlock[],
) {
  return segments.map(({ offset, length }, at) => {
    const block = open[at];
    if (block === undefined) throw new Error("a block of the pads is not open");
    return { open: block, range: { offset, length } };
  });
}
