// When nothing is under way: what was lent is given back, and memory, books and disk tell the same.

import type { LinkBook } from "../../src/keys/link-book.ts";
import type { SimNode } from "./node.ts";
import type { Checks } from "./rules.ts";

/** @throws Violation */
export function checkBalance(checks: Checks, node: SimNode): void {
  const { km, machine } = node;
  checks.check("live", km !== undefined, () => `${node.id} is not up`);
  if (km === undefined || machine.vault === undefined) return;
  const { leases } = machine.vault;
  const pairs = [km.local, ...km.remotes.values()];
  const keys = pairs.flatMap(({ stock, held }) => [...stock.keys(), ...held.keys()]);
  const equal = (what: string, is: number, shouldBe: number): void =>
    checks.check("balanced", is === shouldBe, () => `${node.id} has ${is} ${what}, and its books say ${shouldBe}`);
  equal("blocks lent", leases.blocks, 0);
  equal("key-ID keys in memory", leases.idKeys, keys.length);
  equal("requests waiting", km.waiting, 0);
  const rows = (table: string): number => [...machine.rows.keys()].filter((key) => key.startsWith(`${table}\n`)).length;
  equal(
    "source rows",
    rows("source"),
    pairs.reduce((sum, { stock }) => sum + stock.size, 0),
  );
  equal(
    "held rows",
    rows("held"),
    pairs.reduce((sum, { held }) => sum + held.size, 0),
  );
  const padBlocks = ({ pads, settings }: LinkBook): number => Math.ceil(pads.bytes / settings.blockBytes);
  const stored = [...km.links.values()].reduce((sum, link) => sum + link.stored + padBlocks(link), 0);
  const blocks = new Set(keys.map(({ block }) => block)).size;
  equal("blocks on its disk", [...machine.vault.blocks()].length, blocks + stored);
}
