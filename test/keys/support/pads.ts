// The rule over all pads of a run (design 3): no byte masks two keys, and no block is both pad and KMA-key.

import { expect } from "vitest";
import { linkBlock } from "../../../src/keys/common/rows.ts";
import type { RelayOffer } from "../../../src/keys/ports/peers.ts";
import type { Mesh } from "./mesh.ts";

/** All offers that crossed between any two nodes, lost or not. */
export const offersIn = (mesh: Mesh): RelayOffer[] =>
  mesh.wires.flatMap(({ log }) => log.flatMap((crossing) => (crossing.kind === "relay" ? [crossing.offer] : [])));

/** Fails when a byte of link key masked twice, at whichever node and start, or a pad's block was a KMA-key as well. */
export function expectPadsOnce(mesh: Mesh): void {
  const masks = [...mesh.nodes.values()].flatMap(({ machine }) => machine.padded.filter(({ end }) => end === "mask"));
  const byBlock = Map.groupBy(masks, ({ block }) => block);
  const twice = [...byBlock].flatMap(([block, parts]) => {
    const sorted = parts.toSorted((one, other) => one.offset - other.offset);
    return sorted.flatMap(({ offset }, at) => {
      const before = sorted[at - 1];
      return before !== undefined && before.offset + before.length > offset ? [`${block} at ${offset}`] : [];
    });
  });
  expect(twice).toEqual([]);
  const whole = offersIn(mesh).flatMap(({ protection: one }) =>
    one.scheme === "link" ? [linkBlock(one.link, one.run, one.sequence)] : [],
  );
  expect(whole.filter((block) => byBlock.has(block))).toEqual([]);
  expect(new Set(whole).size).toBe(whole.length);
}

/** Bytes that masked at one node. */
export const paddedBytes = (mesh: Mesh, name: string): number =>
  mesh.node(name).machine.padded.reduce((sum, { end, length }) => sum + (end === "mask" ? length : 0), 0);
