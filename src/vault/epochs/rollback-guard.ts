// The rollback guard: one counter in the store and in the token. A store that is behind is a restored copy; a token that is
// ahead while this KM runs is used by another one under the same name, with a copy of the folder.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Log, Meter } from "../../core/ports.ts";
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

/** A row of that name, whatever is in it, says that the store is not to be trusted. It takes no tag, for it costs key only. */
export const SUSPECT = "suspect";
const SUSPECT_AT = { table: VAULT_TABLE, id: SUSPECT } as const;

/** Makes a store count as a restored copy at its next opening. */
export const suspectMark = (): ChangeOp => ({ op: "put", ...SUSPECT_AT, row: {} });

/** The same for a store whose token is not at hand. */
export const restoredMark = (): StoreOp => ({ op: "put", ...SUSPECT_AT, value: new Uint8Array(1) });

/** What a guard needs. */
export interface GuardParts {
  readonly km: KmId;
  readonly recordStore: RecordStore;
  readonly log: Log;
  readonly meter: Meter;
  /** Identity of the store's file, where it is one; a copy has another. */
  readonly home: () => string | undefined;
}

/** The counter of one KM, as this process has moved it. */
export class RollbackGuard {
  readonly #parts: GuardParts;
  /** The highest that this process has written, or has begun to write. */
  #own: number | undefined;
  #isTold = false;

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /**
   * Whether the store is not where it was when it was last used, or new: then another KM may be running on the folder that
   * it was copied from.
   */
  get mayBeCopy(): boolean {
    const { recordStore, home } = this.#parts;
    const here = home();
    const stored = recordStore.row("guard");
    return here !== undefined && (stored === undefined || (stored.home !== undefined && stored.home !== here));
  }

  /**
   * Compares, then moves both on. That the store was restored stays written down until `move` is called again, so a crash
   * soon after does not hide it.
   *
   *     store, then token:  n n  ->  n+1 n  ->  n+1 n+1       a crash between leaves the store ahead: no alarm
   *     a restored copy:    m n  with m < n                   alarm
   */
  async open(token: Token): Promise<GuardVerdict> {
    const { km, recordStore } = this.#parts;
    const stored = recordStore.row("guard");
    const known = await token.counter(guardLabel(km));
    const isBehind = stored !== undefined && (stored.restored === true || counterOf(stored) < known);
    const restored = isBehind || recordStore.isMarked(SUSPECT);
    await this.#move(token, known, restored);
    return { restored, fresh: stored === undefined };
  }

  /** Moves both to one above the higher. @throws Fault STORE_UNAVAILABLE, HSM_UNAVAILABLE */
  async move(token: Token): Promise<void> {
    await this.#move(token, await this.#knownTo(token), false);
  }

  /** @throws Fault HSM_UNAVAILABLE when another KM has moved the token's counter */
  async attend(token: Token): Promise<void> {
    await this.#knownTo(token);
  }

  async #knownTo(token: Token): Promise<number> {
    const { km } = this.#parts;
    const known = await token.counter(guardLabel(km));
    if (this.#own === undefined || known <= this.#own) return known;
    this.#tellMoved({ own: this.#own, known });
    throw new Fault("HSM_UNAVAILABLE", { text: "another key manager uses the token under this one's name" });
  }

  #tellMoved(counters: { readonly own: number; readonly known: number }): void {
    const { log, meter, home } = this.#parts;
    if (this.#isTold) return;
    this.#isTold = true;
    if (home() === undefined) {
      log.warn(counters, "another member of this KM has become the active one: this one stops using keys at once");
      return;
    }
    meter.add("alarms", { alarm: "token_shared" });
    log.error({ alarm: "token_shared", ...counters }, MOVED);
  }

  async #move(token: Token, known: number, restored: boolean): Promise<void> {
    const { km, recordStore, home } = this.#parts;
    const counter = Math.max(counterOf(recordStore.row("guard")), known) + 1;
    const row = { counter, restored, home: home() };
    await recordStore.commit([
      { op: "put", table: VAULT_TABLE, id: "guard", row },
      { op: "remove", ...SUSPECT_AT },
    ]);
    // Before the token has it, so that nobody who looks meanwhile takes it for another's.
    this.#own = counter;
    await token.counter(guardLabel(km), counter);
  }
}

const MOVED =
  "another key manager with this one's name, on a copy of its folder or of its machine, uses the token: this one stops using keys " +
  "at once. Stop the other for good, then restart this one; what both may have used is destroyed";

const counterOf = (row: Row | undefined): number => (typeof row?.counter === "number" ? row.counter : 0);
