// The rollback guard: one counter in the store and in the token; a store that is behind is a restored copy.

import type { KmId } from "../../core/ids.ts";
import type { Token } from "../../device/token.ts";
import { type RecordStore, VAULT_TABLE } from "../store/record-store.ts";
import type { StoreOp } from "../store/store.ts";
import type { Row } from "../vault.ts";

/** Label of the guard's counter in the token. */
export const guardLabel = (km: KmId): string => `qkm-guard-${km}`;

/** `restored`: the store is older than the token knows. `fresh`: it had never been opened. */
export interface GuardVerdict {
  readonly restored: boolean;
  readonly fresh: boolean;
}

/**
 * Compares, then moves both on. That the store was restored stays written down until `moveGuard` is called again, so a
 * crash soon after does not hide it.
 *
 *     store, then token:  n n  ->  n+1 n  ->  n+1 n+1       a crash between leaves the store ahead: no alarm
 *     a restored copy:    m n  with m < n                   alarm
 */
export async function openGuard(km: KmId, recordStore: RecordStore, token: Token): Promise<GuardVerdict> {
  const stored = recordStore.row("guard");
  const known = await token.counter(guardLabel(km));
  const restored = stored !== undefined && (stored.restored === true || counterOf(stored) < known);
  await move(km, token, { recordStore, restored });
  return { restored, fresh: stored === undefined };
}

/** Makes a store say that it is a restored copy, as one whose counter is behind says. */
export const restoredMark = (): StoreOp => ({
  op: "put",
  table: VAULT_TABLE,
  id: "guard",
  row: { counter: 0, restored: true },
});

/** Moves both to one above the higher. @throws Fault STORE_UNAVAILABLE, HSM_UNAVAILABLE */
export const moveGuard = (km: KmId, recordStore: RecordStore, token: Token): Promise<void> =>
  move(km, token, { recordStore, restored: false });

async function move(
  km: KmId,
  token: Token,
  { recordStore, restored }: { recordStore: RecordStore; restored: boolean },
): Promise<void> {
  const label = guardLabel(km);
  const counter = Math.max(counterOf(recordStore.row("guard")), await token.counter(label)) + 1;
  await recordStore.commit([{ op: "put", table: VAULT_TABLE, id: "guard", row: { counter, restored } }]);
  await token.counter(label, counter);
}

const counterOf = (row: Row | undefined): number => (typeof row?.counter === "number" ? row.counter : 0);
