// What an operator begins anew: all that is shared with a peer, or a link whose module pair is another one (key-protocol 6).

import { Fault } from "../../core/fault.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { TABLE } from "../common/rows.ts";
import type { ReceivedKeys } from "../fetch/received-keys.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { Peer } from "../peers/peer.ts";
import type { SourceStock } from "../supply/stock.ts";

const REASON = "forgotten";

/** Both directions with one KM. */
interface Both {
  readonly stock: SourceStock;
  readonly held: ReceivedKeys;
}

/**
 * Destroys all that is shared with a peer, to which no connection may be open. This end's own serials go on, so none is
 * given twice; what the peer told of itself counts no more. @throws Fault STORE_UNAVAILABLE
 */
export async function forgetPeer(context: Context, peer: Peer): Promise<void> {
  const { audit, log, vault } = context;
  const { id, stock, held, links } = peer;
  const change = vault.change();
  stock.end(stock.keys(), REASON, change);
  held.end([...held.keys()], REASON, change);
  held.restart();
  for (const link of links) restartLink(context, link, change);
  change.put(...peer.peerRow());
  audit.note("peer_forgotten", { peer: id });
  log.warn({ peer: id }, "an operator began anew with the peer: all that was shared with it is destroyed");
  await change.commit();
}

/**
 * Destroys all blocks of a link, and the KMA-keys that are blocks of it, whose names the new pair may give again; to its
 * peer no connection may be open. @throws Fault BUSY while such a key is being supplied or fetched; STORE_UNAVAILABLE
 */
export async function acceptModule(context: Context, link: LinkInventory, all: readonly Both[]): Promise<void> {
  const { audit, log, vault } = context;
  const { id, peer } = link.settings;
  const isUnderWay = () => link.isLending || (all.find(({ held }) => held.peer === peer)?.held.expected ?? 0) > 0;
  await whileIs(context, isUnderWay);
  const isOfLink = ({ block }: { readonly block: string }) => block.startsWith(`link:${id}:`);
  const keys = all.map(({ stock, held }) => ({
    ...{ stock, held },
    own: stock.keys().filter(isOfLink),
    theirs: [...held.keys()].filter(isOfLink),
  }));
  if (
    isUnderWay() ||
    link.padCopies.isBusy ||
    keys.some(({ own, theirs }) => [...own, ...theirs].some(({ pins }) => pins > 0))
  ) {
    throw new Fault("BUSY", { text: `keys of the link ${id} are being relayed or supplied; try again` });
  }
  const change = vault.change();
  for (const { stock, held, own, theirs } of keys) {
    stock.end(own, REASON, change);
    held.end(theirs, REASON, change);
  }
  restartLink(context, link, change);
  audit.note("module_accepted", { link: id });
  log.warn({ link: id }, "an operator accepted a new module pair: all blocks of the link are destroyed");
  await change.remove(TABLE.link, id).commit();
  link.forgetModule();
}

/** Relays end soon when the connection has. */
const SETTLE = { eachMs: 100, times: 50 } as const;

async function whileIs({ clock }: Pick<Context, "clock">, isUnderWay: () => boolean): Promise<void> {
  for (let round = 0; round < SETTLE.times && isUnderWay(); round += 1) {
    await new Promise<void>((resolve) => void clock.after(SETTLE.eachMs, resolve));
  }
}

/** In one change with the marks of pads: a mark that is gone must leave no block behind that was used below it. */
function restartLink({ audit, meter }: Pick<Context, "audit" | "meter">, link: LinkInventory, change: Change): void {
  const { id } = link.settings;
  link.padCopies.clear(change);
  const blocks = link.restart();
  for (const { id: block, run, sequence } of blocks) {
    audit.note("blocks_ended", { link: id, run, reason: REASON }, { first: sequence, end: sequence + 1 });
    change.remove(TABLE.block, block).destroy(block);
  }
  meter.add("blocks_ended", { link: id, reason: REASON }, blocks.length);
  change.put(TABLE.pad, id, link.padRow());
}
