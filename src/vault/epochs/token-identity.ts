// Which token the store was sealed with, by its serial number: another one under the same label does not go unnoticed.

import type { Log, Meter } from "../../core/ports.ts";
import type { TokenInfo } from "../../device/token.ts";
import type { RecordStore } from "../store/record-store.ts";
import { VAULT_TABLE } from "../store/row-tags.ts";

const ROW = "token";

/** What recognising a token needs. */
export interface Recognised {
  readonly recordStore: RecordStore;
  readonly log: Log;
  readonly meter: Meter;
  /** That the store is empty has been told. */
  readonly wasSetAside: boolean;
}

/**
 * Compares the token with what the store remembers. `keks`: how many of this KM's it has.
 *
 *     a fresh store, with KEKs of this KM     an alarm: the store is gone (unless it was set aside as damaged)
 *     same serial number                      nothing to say, unless all KEKs are gone from a token that had some
 *     another one, with KEKs of this KM       a copy of the token: a warning
 *     another one, without                    an alarm: what the store holds cannot be opened, and whoever put it there may
 *                                             have all that is sealed from now on
 *
 * What the store remembers is read whether or not its tag fits: another token has another key for the tags, too.
 */
export function recognise(info: TokenInfo, keks: number, told: Recognised): void {
  const { recordStore, log, meter, wasSetAside } = told;
  const known = recordStore.untrusted(ROW)?.serial;
  const { serialNumber: serial, label } = info;
  const isOther = typeof known === "string" && known !== serial;
  // The token is remembered before the first KEK is made: a kill in between is no alarm.
  const isFresh = !recordStore.isMarked("guard") && !recordStore.isMarked(ROW);
  const alarmOf = (): keyof typeof SENTENCES | undefined => {
    if (isFresh) return keks > 0 && !wasSetAside ? "store_missing" : undefined;
    if (keks > 0) return undefined;
    return isOther ? "token_replaced" : "token_blank";
  };
  const alarm = alarmOf();
  if (alarm !== undefined) {
    meter.add("alarms", { alarm });
    log.error({ alarm, label, serial, known }, SENTENCES[alarm]);
  } else if (isOther) {
    log.warn({ label, serial, known }, "the token is another one than before, and has this KM's keys: a copy");
  }
}

/** @throws Fault STORE_UNAVAILABLE */
export async function rememberToken({ serialNumber: serial }: TokenInfo, recordStore: RecordStore): Promise<void> {
  if (recordStore.row(ROW)?.serial === serial) return;
  await recordStore.commit([{ op: "put", table: VAULT_TABLE, id: ROW, row: { serial } }]);
}

const SENTENCES = {
  token_replaced:
    "another token, without this KM's keys, has the label: put the right one back, or find out who changed it; nothing stored can be opened",
  store_missing:
    "the token has keys of this KM, and the store is new: the store was removed, or another folder is in use; its keys are lost. " +
    "Find out who removed it, and put no old copy back",
  token_blank: "the token has lost all keys of this KM: find out who cleared it; nothing stored can be opened",
} as const;
