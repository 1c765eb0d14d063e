// Keys of one request on their way over a border, and what is known of them there.
//
//   sending ──all relayed──> over: destroyed here, supplied to who asked
//      └──refused, failed, too late, given up──> voiding ──voided, not present, or too late for that──> over

import type { KmId } from "../../../core/ids.ts";
import type { BlockId, OpenBlock, Vault } from "../../../vault/vault.ts";
import { type BorderRow, TABLE } from "../../common/rows.ts";
import type { BorderDeparture, BorderPath, LeavingKey } from "../../ports/borders.ts";
import { keysText } from "../../strict/strict-bundle.ts";
import { borderRow, nameOf } from "../border-rows.ts";

/** What a departure is made of. */
export interface DepartureParts extends BorderPath {
  readonly id: string;
  readonly border: KmId;
  readonly block: BlockId;
  /** By the age clock, without the time switched off. */
  readonly bornAt: number;
  readonly keys: readonly LeavingKey[];
}

/** One request's keys on their way out over a border. */
export class Departure implements BorderDeparture {
  readonly id: string;
  readonly border: KmId;
  readonly initiator: BorderPath["initiator"];
  readonly target: BorderPath["target"];
  readonly block: BlockId;
  readonly bornAt: number;
  readonly keys: readonly LeavingKey[];
  state: "sending" | "voiding" | "over" = "sending";
  /** The other end may have them. */
  mayBeThere = false;
  /** Those of which the other end has not told yet what was asked. */
  readonly #pending: Set<string>;
  readonly #vault: Vault;
  readonly #left = Promise.withResolvers<void>();

  constructor(vault: Vault, parts: DepartureParts) {
    this.#vault = vault;
    this.id = parts.id;
    this.border = parts.border;
    this.initiator = parts.initiator;
    this.target = parts.target;
    this.block = parts.block;
    this.bornAt = parts.bornAt;
    this.keys = parts.keys;
    this.#pending = new Set(this.#ids);
    // Perhaps nobody waits.
    this.#left.promise.catch(() => {});
  }

  get #ids(): readonly string[] {
    return this.keys.map(({ keyId }) => nameOf(keyId));
  }

  get keyIds(): readonly string[] {
    return this.keys.map(({ keyId }) => keyId);
  }

  /** Settled when the keys have arrived, or will not. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  arrived(): void {
    this.state = "over";
    this.#left.resolve();
  }

  /** False when they are not there. Otherwise it is asked of each key from now on whether it is void. */
  failed(thrown: unknown): boolean {
    this.state = this.mayBeThere ? "voiding" : "over";
    for (const id of this.#ids) this.#pending.add(id);
    this.#left.reject(thrown);
    return this.mayBeThere;
  }

  /** What was asked is true of these keys; true when it is of all. */
  told(keyIds: readonly string[]): boolean {
    for (const id of keyIds) this.#pending.delete(nameOf(id));
    return this.#pending.size === 0;
  }

  /** Each key may be sent several times: it is written from a copy. */
  async lend(use: Parameters<BorderDeparture["lend"]>[0]): Promise<void> {
    using job = await this.#vault.openJob({ blocks: [{ block: this.block }], emptySlots: 1 });
    const [open] = job.blocks;
    const copy = open && job.emptySlots[0]?.combine(`${this.block}:copy` as BlockId, [open]);
    if (copy === undefined) throw new Error(`${this.block} is not open`);
    use((index, target, at) => this.#write(copy, index, target, at));
  }

  #write(copy: OpenBlock, index: number, target: Uint8Array, at: number): number {
    const offset = this.keys.slice(0, index).reduce((sum, { length }) => sum + length, 0);
    return copy.emit({ offset, length: this.keys[index]?.length ?? 0 }, target, at);
  }

  /** Its row in the store. */
  row(state: "sending" | "voiding"): readonly [table: string, id: string, row: BorderRow] {
    const keys = keysText(this.keys.map(({ keyId, length }) => ({ id: keyId, length })));
    const block = state === "sending" ? this.block : "";
    const given = { border: this.border, bornAt: this.bornAt, state, keys, block };
    return [TABLE.border, this.id, borderRow("out", this, given)];
  }
}
