// When nothing is under way: what was lent is given back, and memory, books and disk tell the same.

import type { ReceivedKey } from "../../src/keys/fetch/received-key.ts";
import type { Parts } from "../../src/keys/manager/parts.ts";
import type { SourceKey } from "../../src/keys/supply/source-key.ts";
import type { BlockId } from "../../src/vault/vault.ts";
import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";

/**
 * Whether nothing is on its way to the disk, and as many key-ID keys are in memory as the books say: a relay under way has one
 * that is in no book yet.
 */
export const isIdle = ({ parts, machine }: SimNode): boolean =>
  parts !== undefined &&
  machine.vault?.isWriting === false &&
  machine.vault.leases.idKeys === keysOf(parts).length &&
  ![...machine.rows].some(([key, { state }]) => key.startsWith("whole\n") && state === "reserved");

const keysOf = (parts: Parts): readonly (SourceKey | ReceivedKey)[] =>
  [parts.local, ...parts.peers.values()].flatMap(({ stock, held }) => [...stock.keys(), ...held.keys()]);

/** @throws Violation */
export function checkBalance(checks: Checks, node: SimNode): void {
  const { parts, machine } = node;
  checks.check("live", parts !== undefined, () => `${node.id} is not up`);
  if (parts === undefined || machine.vault === undefined) return;
  const { leases } = machine.vault;
  const sharedPeers = [parts.local, ...parts.peers.values()];
  const keys = keysOf(parts);
  const equal = (what: string, is: number, shouldBe: number): void =>
    checks.check("balanced", is === shouldBe, () => `${node.id} has ${is} ${what}, and its books say ${shouldBe}`);
  equal("blocks lent", leases.blocks, 0);
  equal("key-ID keys in memory", leases.idKeys, keys.length);
  equal("requests waiting", parts.admission.waiting, 0);
  const rows = (table: string): number => [...machine.rows.keys()].filter((key) => key.startsWith(`${table}\n`)).length;
  equal(
    "source rows",
    rows("source"),
    sharedPeers.reduce((sum, { stock }) => sum + stock.size, 0),
  );
  equal(
    "held rows",
    rows("held"),
    sharedPeers.reduce((sum, { held }) => sum + held.size, 0),
  );
  const books = new Set<string>(keys.map(({ block }) => block));
  for (const link of parts.links.values()) for (const { id } of [...link.own(), ...link.copies()]) books.add(id);
  for (const book of [...parts.strict.books(), ...parts.multicast.copies.books()]) {
    for (const { block } of book.bundles) books.add(block);
  }
  // The block in which the pads of a link begin is in no other book, nor is one passed over until the next change.
  const others = [...machine.vault.blocks()].filter((block) => !books.has(block));
  const stray = others.filter((block) => machine.row("block", block) === undefined);
  checks.check("balanced", stray.length === 0, () => `${node.id} has blocks that no book has: ${stray.slice(0, 5)}`);
  // A large KMA-key goes under several blocks of a link whose own are small.
  const ofLinks = [...parts.links.values()].map(
    ({ settings }) => PADS - 1 + Math.ceil(node.largestBlock / settings.blockBytes),
  );
  const most = ofLinks.reduce((sum, blocks) => sum + blocks, 0);
  checks.check("balanced", others.length <= most, () => `${node.id} has ${others.length} pad blocks: ${others}`);
  const missing = [...books].filter((block) => !machine.vault?.has(block as BlockId));
  checks.check(
    "balanced",
    missing.length === 0,
    () => `${node.id} has not what its books have: ${missing.slice(0, 5)}`,
  );
}

/** After every age has passed: of what has one, nothing is left but keys for applications of one KM, which are made anew. @throws Violation */
export function checkEmpty(checks: Checks, node: SimNode): void {
  const { parts, machine } = node;
  if (parts === undefined || machine.vault === undefined) return;
  const none = (what: string, count: number): void =>
    checks.check("balanced", count === 0, () => `${node.id} has ${count} ${what} after all of them have expired`);
  for (const { id, stock, held } of parts.peers.values()) none(`KMA-keys shared with ${id}`, stock.size + held.size);
  for (const { id, stock, held } of parts.strict)
    none(`whole keys shared with ${id}`, stock.book.size + held.book.size);
  none("copies for several applications", parts.multicast.copies.size);
  const { initiator, destination, asks } = parts.sessions.sizes;
  none("sessions", initiator + destination + asks);
  const own = `${node.id}/`;
  const rows = [...machine.rows.keys()].map((key) => key.split("\n") as [string, string]);
  const aged = rows.filter(
    ([table, id]) => table === "whole" || (["source", "held"].includes(table) && !id.startsWith(own)),
  );
  none("rows of KMA-keys", aged.length);
  none("blocks lent", machine.vault.leases.blocks);
  none(
    "key-ID keys in memory",
    machine.vault.leases.idKeys - [...parts.local.stock.keys(), ...parts.local.held.keys()].length,
  );
}

/** Blocks of a link that are pads: one begun, and one at the other end. */
const PADS = 2;
