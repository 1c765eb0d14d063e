// What was handed out on both sides, and the rule over it: no byte and no ID twice.

import { expect } from "vitest";
import type { Emitted } from "../../support/model-block.ts";
import type { GivenKey } from "./apps.ts";
import type { TestNode } from "./node.ts";

/** Parts of blocks that were emitted more than once at this node, over all its boots. */
export function emittedTwice(node: TestNode): string[] {
  const byBlock = Map.groupBy<string, Emitted>(node.machine.emitted, ({ block }) => block);
  return [...byBlock].flatMap(([block, parts]) => {
    const sorted = parts.toSorted((one, other) => one.offset - other.offset);
    return sorted.flatMap(({ offset }, index) => {
      const before = sorted[index - 1];
      return before !== undefined && before.offset + before.length > offset ? [`${block} at ${offset}`] : [];
    });
  });
}

/** No byte of key left this node twice, and no ID or key is twice among those given. */
export function expectOneUse(nodes: readonly TestNode[], given: readonly GivenKey[]): void {
  for (const node of nodes) expect(emittedTwice(node)).toEqual([]);
  expect(new Set(given.map(({ id }) => id)).size).toBe(given.length);
  expect(new Set(given.map(({ key }) => key)).size).toBe(given.length);
}

/** Each KMA-key that `source` can carve is held whole by `destination`, from where it will be carved on; no block is two things. */
export function expectAgreement(source: TestNode, destination: TestNode): void {
  const stock = source.parts.peers.get(destination.id)?.stock;
  const held = destination.parts.peers.get(source.id)?.held;
  if (stock === undefined || held === undefined) throw new Error("no peers");
  for (const { serial, carved, length } of stock.keys()) {
    const key = held.get(serial);
    expect([serial, key?.length]).toEqual([serial, length]);
    expect([serial, key?.isTaken({ offset: carved, length: length - carved })]).toEqual([serial, length === carved]);
  }
  const unused = (node: TestNode) =>
    [...node.parts.links.values()].flatMap((link) => [...link.own(), ...link.copies()]);
  const named = new Set([...stock.keys(), ...held.keys()].map(({ block }) => block));
  expect([source, destination].flatMap(unused).filter(({ id }) => named.has(id))).toEqual([]);
}
