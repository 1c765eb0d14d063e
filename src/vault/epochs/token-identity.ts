// Which token the store was sealed with, by its serial number: another one under the same label does not go unnoticed.

import type { Log, Meter } from "../../core/ports.ts";
import type { TokenInfo } from "../../device/token.ts";
import type { RecordStore } from "../store/record-store.ts";
import { VAULT_TABLE } from "../store/row-tags.ts";

const ROW = "token";

export interface Recognised {
  readonly recordStore: RecordStore;
  readonly log: Log;
  readonly meter: Meter;
}

/**
 * Compares the token with what the store remembers. `keks`: how many of this KM's it has.
 *
 *     same serial number or a fresh store     nothing to say, unless all KEKs are gone from a token that had some
 *     another one, with KEKs of this KM       a copy of the token: a warning
 *     another one, without                    an alarm: what the store holds cannot be opened, and whoever put it there may
 *                                             have all that is sealed from now on
 *
 * What the store remembers is read whether or not its tag fits: another token has another key for the tags, too.
 */
export function recognise(info: TokenInfo, keks: number, { recordStore, log, meter }: Recognised): void {
  const known = recordStore.untrusted(ROW)?.serial;
  const { serialNumber: serial, label } = info;
  const isOther = typeof known === "string" && known !== serial;
  if (keks === 0 && recordStore.isMarked("guard")) {
    const alarm = isOther ? "token_replaced" : "token_blank";
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
  token_blank: "the token has lost all keys of this KM: find out who cleared it; nothing stored can be opened",
} as const;
