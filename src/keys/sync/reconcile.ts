// The state exchange applied: what only one end has is destroyed, what both have is confirmed (key-protocol 5).

import type { Change } from "../../vault/vault.ts";
import { isAfter, isBeyond, type PadMark } from "../common/block-position.ts";
import { alarmRefused, checkLeap, whyTooFar } from "../common/bounds.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import { TABLE } from "../common/rows.ts";
import { inSlices, PART } from "../common/slices.ts";
import { endBlocks } from "../links/intake.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import { countPadsLost } from "../links/pad-audit.ts";

import type { Peer } from "../peers/peer.ts";
import type { LinkState, PeerState } from "./state-reader.ts";

/**
 * Applies what the other KM told. @returns false when this end had to destroy what the other KM still counts on:
 * both then begin anew. @throws Fault OUT_OF_BOUNDS: nothing is changed then; STORE_UNAVAILABLE
 */
export async function reconcile(context: Context, peer: Peer, state: PeerState): Promise<boolean> {
  checkNumbers(context, peer, state);
  alarmForeign(context, peer, state);
  const links = peer.links.filter((link) => isBelieved(context, link, state.links.get(link.settings.id)));
  // rule: see-copy
  const behind = whyBehind(peer, links, state);
  if (behind !== undefined) return destroyDoubtful(context, peer, state, behind);
  const change = context.vault.change();
  for (const link of links) reconcileLink(context, link, state.links.get(link.settings.id), change);
  const { stock, held } = peer;
  // How long this end was off is a guess by its wall clock; the other end may know better.
  for (const key of stock.keys()) key.bornBy(context.ages.now() - 1000 * (state.aged.get(key.serial) ?? 0));
  stock.nextSerial = Math.max(stock.nextSerial, state.accepted + 1);
  // What was given and has not come by now was given up with its connection.
  held.raise(Math.max(state.given, state.proved));
  held.vouch(held.accepted);
  // rule: end-gaps
  const gaps = stock.keys().filter((key) => !state.isHeld(key.serial));
  stock.end(gaps.slice(0, PART), "gap", change);
  held.giveUp(state.givenUp, change);
  for (const mark of state.marks) held.witness(mark, change);
  await change.put(...peer.peerRow()).commit();
  // Nothing is carved before this has ended; after a crash the next exchange finds what is left.
  await inSlices(context, gaps.slice(PART), async (part) => {
    const more = context.vault.change();
    stock.end(
      part.filter((key) => stock.holds(key)),
      "gap",
      more,
    );
    await more.commit();
  });
  return true;
}

/** Links that only the other end is configured with. */
function alarmForeign({ log, meter }: Context, { id }: Peer, { foreign }: PeerState): void {
  const [first] = foreign;
  if (first === undefined) return;
  meter.add("alarms", { alarm: "link_differs" });
  log.error(
    { alarm: "link_differs", peer: id, links: foreign.length, first: first.slice(0, 64) },
    "the peer is configured with links to this key manager that are not configured here",
  );
}

/** Whether what is told of a link lies near what this end's own module has brought; nothing of the link is taken if not. */
function isBelieved(context: Context, link: LinkInventory, told: LinkState | undefined): boolean {
  link.disbelieved = undefined;
  for (const position of told?.furthest() ?? []) {
    const why = whyTooFar(link.highest, position);
    if (why === undefined) continue;
    link.disbelieved = position;
    link.agreement = "refused";
    alarmRefused(context, link.settings.peer, `link ${link.settings.id}: ${why}`);
    return false;
  }
  return true;
}

/** @throws Fault OUT_OF_BOUNDS */
function checkNumbers(context: Context, { id, stock, held }: Peer, { given, proved, accepted }: PeerState): void {
  held.told = given;
  checkLeap(context, id, { what: "given", told: given, known: held.accepted });
  checkLeap(context, id, { what: "proved", told: proved, known: held.accepted });
  checkLeap(context, id, { what: "accepted", told: accepted, known: stock.nextSerial - 1 });
}

/** Why this end is a restored copy, if it is: the other KM has seen more of us than we know ourselves. */
function whyBehind({ stock, held }: Peer, links: readonly LinkInventory[], state: PeerState): string | undefined {
  for (const link of links) {
    const why = whyPadsBehind(link, state.links.get(link.settings.id)?.seen);
    if (why !== undefined) return why;
  }
  const fresh = stock.nextSerial === 1 && held.accepted === 0;
  if (fresh) return undefined;
  const marks = new Map(state.witnessed.map(({ serial, offset }) => [serial, offset]));
  const witnessedOf = (serial: number): number => (state.isSpent(serial) ? Infinity : (marks.get(serial) ?? 0));
  for (const key of stock.keys()) {
    const witnessed = Math.min(witnessedOf(key.serial), key.length);
    if (witnessed > key.carved) return `KMA-key ${key.serial} was carved up to ${witnessed}, here up to ${key.carved}`;
  }
  // In the copy it was still being relayed, and what is being relayed at an end is given up.
  for (const serial of stock.givenUp) {
    if (witnessedOf(serial) > FIRST_OFFSET) return `KMA-key ${serial} was carved, and is given up here`;
  }
  if (state.accepted >= stock.nextSerial) return `serial ${state.accepted} was accepted and is not yet given here`;
  if (state.proved > held.accepted) return `serial ${state.proved} was accepted here and is not known`;
  return undefined;
}

function whyPadsBehind(link: LinkInventory, seen: PadMark | undefined): string | undefined {
  const { settings, pads } = link;
  if (seen === undefined || !isBeyond(seen, pads.mark)) return undefined;
  // A store that was lost knows no pads, and has no blocks that could have been any.
  const isFresh = pads.mark === undefined && [...link.own()].every((block) => isAfter(block, seen));
  if (isFresh) return undefined;
  return `the pads of link ${settings.id} were used up to block ${seen.sequence} of run ${seen.run}, here not so far`;
}

/** A restored copy: nothing that is shared with it can be trusted to be unused. */
async function destroyDoubtful(context: Context, peer: Peer, state: PeerState, why: string): Promise<boolean> {
  const { log, meter, vault } = context;
  const { stock, held, links } = peer;
  log.error(
    { alarm: "restored", peer: peer.id, why },
    "this store is a restored copy: what it shares with the peer is destroyed",
  );
  meter.add("alarms", { alarm: "restored" });
  const change: Change = vault.change();
  stock.end(stock.keys(), "restored", change);
  held.end([...held.keys()], "restored", change);
  stock.nextSerial = Math.max(stock.nextSerial, state.accepted + 1);
  held.raise(Math.max(state.proved, state.given));
  for (const link of links) {
    const told = link.disbelieved === undefined ? state.links.get(link.settings.id) : undefined;
    endPads(context, link, { pads: told?.pads, seen: told?.seen, holds: () => false }, change);
    endBlocks(context, link, [...link.own(), ...link.copies()], "restored");
  }
  await change.put(...peer.peerRow()).commit();
  return false;
}

/** Pads go on above what either end knows, in blocks that the other end holds. */
function endPads(context: Context, link: LinkInventory, told: AnnouncedPads, change: Change): void {
  const { id } = link.settings;
  const { pads, padCopies } = link;
  for (const block of pads.giveBack()) link.putBack(block);
  const { begun } = pads;
  if (begun !== undefined && (isBeyond(told.seen, pads.mark) || !told.holds(begun.block))) {
    pads.dropBegun();
    change.remove(TABLE.block, begun.block.id).destroy(begun.block.id);
    countPadsLost(context, { link: id, direction: "out", reason: "gap" }, begun.length);
  }
  if (told.seen !== undefined && isBeyond(told.seen, pads.mark)) pads.raise(told.seen);
  const skipped = told.pads === undefined ? 0 : padCopies.raise(told.pads);
  if (skipped > 0) countPadsLost(context, { link: id, direction: "in", reason: "gap" }, skipped);
  padCopies.clear(change);
  change.put(TABLE.pad, id, link.padRow());
}

/** What the other end says of the pads of a link. */
type AnnouncedPads = Pick<LinkState, "pads" | "seen" | "holds">;

function reconcileLink(context: Context, link: LinkInventory, told: LinkState | undefined, change: Change): void {
  const { id, share, blockBytes, peer } = link.settings;
  const ours = `share ${share.join(":")}, blocks of ${blockBytes} bytes`;
  const theirs = told && `share ${told.share}, blocks of ${told.blockBytes} bytes`;
  if (told === undefined || ours !== theirs) {
    link.agreement = "refused";
    context.meter.add("alarms", { alarm: "link_differs" });
    context.log.error(
      { alarm: "link_differs", link: id, peer, ours, theirs: theirs ?? "no such link" },
      "the link is configured differently at its two ends and stays unused",
    );
    return;
  }
  link.agreement = "agreed";
  link.keptAtPeer = told.keepBlocks ?? link.settings.keepBlocks;
  endPads(context, link, told, change);
  link.unconfirm();
  const { highest } = told;
  if (highest === undefined) return;
  const lacking = link.hear({
    upTo: highest,
    covers: (position) => !isAfter(position, highest),
    holds: (position) => told.holds(position),
    held: (most) => told.held(most),
  });
  endBlocks(context, link, lacking, "gap");
}
