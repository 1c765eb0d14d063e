// The state exchange applied: what only one end has is destroyed, what both have is confirmed (key-protocol 5).

import type { Change } from "../vault/vault.ts";
import type { Context } from "./context.ts";
import { endBlocks } from "./intake.ts";
import { isAfter, type LinkBook } from "./link-book.ts";
import type { LinkState, PeerState } from "./peer-state.ts";
import type { Remote } from "./remote.ts";

/**
 * Applies what the other KM told. @returns false when this end had to destroy what the other KM still counts on:
 * both then begin anew. @throws Fault STORE_UNAVAILABLE
 */
export async function reconcile(context: Context, remote: Remote, state: PeerState): Promise<boolean> {
  const behind = whyBehind(remote, state);
  if (behind !== undefined) return destroyDoubtful(context, remote, state, behind);
  for (const link of remote.links) reconcileLink(context, link, state.links.get(link.settings.id));
  const { stock, held } = remote;
  stock.nextSerial = Math.max(stock.nextSerial, state.accepted + 1);
  // What was given and has not come by now was given up with its connection.
  held.raise(Math.max(state.given, state.proved));
  const change = context.vault.change();
  stock.end(
    stock.keys().filter((key) => !state.isHeld(key.serial)),
    "gap",
    change,
  );
  held.giveUp(state.givenUp, change);
  for (const mark of state.marks) held.witness(mark, change);
  await change.put(...remote.peerRow()).commit();
  return true;
}

/** Why this end is a restored copy, if it is: the other KM has seen more of us than we know ourselves. */
function whyBehind({ stock, held }: Remote, state: PeerState): string | undefined {
  const fresh = stock.nextSerial === 1 && held.accepted === 0;
  if (fresh) return undefined;
  const marks = new Map(state.witnessed.map(({ serial, offset }) => [serial, offset]));
  for (const key of stock.keys()) {
    const witnessed = state.isSpent(key.serial) ? key.length : (marks.get(key.serial) ?? 0);
    if (witnessed > key.carved) return `KMA-key ${key.serial} was carved up to ${witnessed}, here up to ${key.carved}`;
  }
  if (state.accepted >= stock.nextSerial) return `serial ${state.accepted} was accepted and is not yet given here`;
  if (state.proved > held.accepted) return `serial ${state.proved} was accepted here and is not known`;
  return undefined;
}

/** A restored copy: nothing that is shared with it can be trusted to be unused. */
async function destroyDoubtful(context: Context, remote: Remote, state: PeerState, why: string): Promise<boolean> {
  const { log, meter, vault } = context;
  const { stock, held, links } = remote;
  log.error(
    { alarm: "restored", peer: remote.id, why },
    "this store is a restored copy: what it shares with the peer is destroyed",
  );
  meter.add("alarms", { alarm: "restored" });
  const change: Change = vault.change();
  stock.end(stock.keys(), "restored", change);
  held.end([...held.keys()], "restored", change);
  stock.nextSerial = Math.max(stock.nextSerial, state.accepted + 1);
  held.raise(Math.max(state.proved, state.given));
  for (const link of links) endBlocks(context, link, [...link.own(), ...link.copies()], "restored");
  await change.put(...remote.peerRow()).commit();
  return false;
}

function reconcileLink(context: Context, link: LinkBook, told: LinkState | undefined): void {
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
  link.unconfirm();
  const { highest } = told;
  if (highest === undefined) return;
  const lacking = link.hear({ ...told, upTo: highest, covers: (place) => !isAfter(place, highest) });
  endBlocks(context, link, lacking, "gap");
}
