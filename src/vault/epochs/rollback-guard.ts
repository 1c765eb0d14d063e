// The rollback guard: one counter in the store and in the token; a store that is behind is a restored copy.

import type { KmId } from "../../core/ids.ts";
import type { Token } from "../../device/token.ts";
import type { ChangeOp, RecordStore } from "../store/record-store.ts";
import { VAULT_TABLE } from "../store/row-tags.ts";
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
  const isBehind = stored !== undefined && (stored.restored === true || counterOf(stored) < known);
  const restored = isBehind || recordStore.isMarked(SUSPECT);
  await move(km, token, { recordStore, restored });
  return { restored, fresh: stored === undefined };
}

/** A row of that name, whatever is in it, says that the store is not to be trusted. It takes no tag, for it costs key only. */
export const SUSPECT = "suspect";
const SUSPECT_AT = { table: VAULT_TABLE, id: SUSPECT } as const;

/** Makes a store count as a restored copy at its next opening. */
export const suspectMark = (): ChangeOp => ({ op: "put", ...SUSPECT_AT, row: {} });

/** The same for a store whose token is not at hand. */
export const restoredMark = (): StoreOp => ({ op: "put", ...SUSPECT_AT, value: new Uint8Array(1) });

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
  await recordStore.commit([
    { op: "put", table: VAULT_TABLE, id: "guard", row: { counter, restored } },
    { op: "remove", ...SUSPECT_AT },
  ]);
  await token.counter(label, counter);
}

const counterOf = (row: Row | undefined): number => (typeof row?.counter === "number" ? row.counter : 0);
