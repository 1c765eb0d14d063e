// What an application is told of the stock for another KM (ETSI GS QKD 014, Get status).

import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import { keySizes, stepped } from "../common/sizes.ts";
import type { SupplyStatus } from "../ports/keys.ts";
import type { SourceStock } from "./stock.ts";

const MAX_INT32 = 2 ** 31 - 1;

/** The stock for one KM, and the bytes for applications in one of its KMA-keys. */
interface Stocked {
  readonly stock: SourceStock;
  readonly keyBytes: number;
}

/** `defaultBits`: the size of a key when none is asked. */
export function supplyStatus(
  { self, policy }: Pick<Context, "self" | "policy">,
  { stock, keyBytes }: Stocked,
  defaultBits: number,
): SupplyStatus {
  const targetKm: KmId = stock.peer;
  const sizes = keySizes(defaultBits, keyBytes + FIRST_OFFSET);
  const step = stepped(defaultBits / 8);
  const storedKeys = Math.min(stock.count(step), MAX_INT32);
  const most = policy.stockHigh * Math.floor(keyBytes / step);
  const maxStoredKeys = Math.min(Math.max(most, storedKeys), MAX_INT32);
  return { sourceKm: self, targetKm, storedKeys, maxStoredKeys, sizes };
}
