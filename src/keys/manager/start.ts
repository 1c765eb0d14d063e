// The start: the key inventory is read into the rooms, and what may not be used of it is destroyed, before anybody is served.

import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { readRow, TABLE } from "../common/rows.ts";
import { blocksOf, readBorderRows, settleBorderRows } from "./border-rows.ts";
import { connectionTo } from "./hosts.ts";
import { EPOCH_ROW } from "./housekeeping.ts";
import { loadInventory } from "./load.ts";
import { OverBorder } from "./over-border.ts";
import type { Parts } from "./parts.ts";

/**
 * Reads the key inventory, and serves applications from then on. When it throws, what it read of the vault is given back.
 * @param isRestored the store is an old copy, and nothing in it may be used
 * @throws Fault, Error
 */
export async function readInventory(parts: Parts, isRestored: boolean): Promise<void> {
  try {
    await read(parts, isRestored);
  } catch (thrown) {
    for (const { stock, held } of parts.sharedPeers.all) {
      for (const { idKey } of [...stock.keys(), ...held.keys()]) idKey[Symbol.dispose]();
    }
    throw thrown;
  }
  const { context, peers, optional, around, multicast, sessions, requests } = parts;
  const borders = () => optional.borders;
  const overBorder = new OverBorder(context, { borders, peerOf: (km) => connectionTo(peers, km) });
  requests.open({ ...around, multicast, sessions, borders, overBorder });
}

async function read(parts: Parts, isRestored: boolean): Promise<void> {
  const { context, links, routeAdmin, sharedPeers, strict, multicast, optional, housekeeping } = parts;
  const { ages, vault } = context;
  routeAdmin.restore([...vault.rows(TABLE.route)].map(([id, row]) => [id, readRow("route", id, row)]));
  const borderRows = readBorderRows(context);
  await loadInventory(context, {
    link: (id) => links.get(id),
    pair: (peer) => sharedPeers.of(peer as KmId) ?? parts.formerPeer(peer as KmId),
    isRestored,
    others: [...strict.load(), ...multicast.copies.load(), ...blocksOf(borderRows)],
  });
  optional.restoreBorders(await settleBorderRows(context, borderRows, isRestored));
  await strict.begin(isRestored ? "restored" : ages.wentBack ? "clock" : undefined);
  await multicast.copies.begin(isRestored);
  if (isRestored) await housekeeping.destroyAll("restored");
  else if (ages.wentBack) await housekeeping.retireOwned();
  await housekeeping.expire();
  housekeeping.restoreEpoch(epochBegan(context));
  await housekeeping.saveClock();
}

/** By the age clock; one that nobody has saved begins now. */
function epochBegan({ vault, ages }: Pick<Context, "vault" | "ages">): number {
  const saved = [...vault.rows(TABLE.meta)].find(([id]) => id === EPOCH_ROW);
  return saved === undefined ? ages.now() : readRow("meta", ...saved).ageMs;
}
