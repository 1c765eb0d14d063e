// The gauges of key manager and vault.

import type { KeyManager } from "../keys/key-manager.ts";
import type { LinkBook } from "../keys/link-book.ts";
import type { Neighbour } from "../keys/neighbour.ts";
import type { Vault } from "../vault/vault.ts";
import type { Collect, SetGauge } from "./gauges.ts";

interface LineStatus {
  readonly line: "up" | "down";
  readonly qber?: number;
  readonly keyRateBitsPerS?: number;
}

/** `lineOf`: what the driver of a link tells. */
export function keysGauges(keys: KeyManager, lineOf: (link: string) => LineStatus | undefined): Collect {
  return (set) => {
    for (const { settings, ...book } of [...keys.links.values()].map(linkAmounts)) {
      const link = settings.id;
      const line = lineOf(link);
      set("link_up", line?.line === "up" ? 1 : 0, { link });
      set("link_stored_blocks", book.own, { link, owner: "own" });
      set("link_stored_blocks", book.copies, { link, owner: "peer" });
      if (line?.qber !== undefined) set("link_qber_ratio", line.qber, { link });
      if (line?.keyRateBitsPerS !== undefined) set("link_key_rate_bits_per_second", line.keyRateBitsPerS, { link });
    }
    for (const neighbour of keys.neighbours.values()) {
      set("peer_up", neighbour.phase === "synchronised" ? 1 : 0, { peer: neighbour.id });
      stockGauges(set, keys, neighbour, neighbour.id);
    }
    stockGauges(set, keys, keys.local, keys.context.self);
    set("requests_waiting", keys.waiting);
  };
}

const linkAmounts = (link: LinkBook) => {
  const own = [...link.own()].length;
  return { settings: link.settings, own, copies: link.stored - own };
};

function stockGauges(
  set: SetGauge,
  keys: KeyManager,
  { stock, held }: Pick<Neighbour, "stock" | "held">,
  peer: string,
): void {
  set("stock_keys", stock.count(Math.ceil(keys.sizes.defaultBits / 64) * 8), { peer });
  set("stock_kma_keys", stock.size, { peer, role: "source" });
  set("stock_kma_keys", held.size, { peer, role: "destination" });
}

export function vaultGauges(vault: Vault): Collect {
  return (set) => {
    const { token, store, epoch, slots } = vault.health();
    set("token_ready", token === "ready" ? 1 : 0);
    set("store_ready", store === "ready" ? 1 : 0);
    set("epoch", epoch);
    set("memory_slots", slots.all, { state: "all" });
    set("memory_slots", slots.pinned, { state: "pinned" });
  };
}
