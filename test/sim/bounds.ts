// Everything is bounded (design 3.6): what a running node holds, against its settings.

import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";

/** Relays under way, and open KMA-keys with rests, beside the stock. */
const BESIDE = 8 + 33;
const GIVEN_UP = 1024;
const PADS = 16;

/** @throws Violation */
export function checkBounds(checks: Checks, node: SimNode): void {
  const { parts } = node;
  if (parts === undefined) return;
  const { stockHigh, maxHeld, keepBlocks } = node.widest;
  // Of each step several: no words are made of what holds.
  const bound = (what: string, size: number, most: number, whose = ""): void =>
    checks.check("bounded", size <= most, () => `${node.id} has ${size} ${what}${whose}, at most ${most} are allowed`);
  bound("requests waiting", parts.admission.waiting, node.settings.policy.maxWaiting);
  let expected = 2 * 8;
  for (const link of parts.links.values()) {
    // Of the other end's blocks a quarter more is kept than of one's own; pads in use stay.
    const most = 2 * keepBlocks + Math.ceil(keepBlocks / 4) + PADS;
    bound("blocks of ", link.stored, most, link.settings.id);
    expected += most + 64;
  }
  for (const { id, stock, held } of parts.peers.values()) {
    bound("KMA-keys for ", stock.size, stockHigh + BESIDE, id);
    bound("KMA-keys of ", held.size, maxHeld, id);
    bound("serials given up towards ", stock.givenUp.size, GIVEN_UP, id);
    expected += stockHigh + BESIDE + maxHeld + 16;
  }
  expected += maxHeld + BESIDE + 16;
  // Whole keys lie in bundles of one at least, and twice while they are relayed.
  for (const { stock, held } of parts.strict) {
    bound("whole keys", Math.max(stock.book.size, held.book.size), maxHeld);
    expected += 4 * maxHeld;
  }
  bound("keys for several applications", parts.multicast.copies.size, maxHeld);
  expected += parts.multicast.copies.size;
  bound("records on its disk", node.machine.records.size, 2 * expected);
}
