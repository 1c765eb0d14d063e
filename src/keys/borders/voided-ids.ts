// IDs of keys that were voided before they were fetched, or before they came: a transfer that comes late revives nothing.

import type { KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { type BorderRow, TABLE } from "../common/rows.ts";
import type { BorderPath } from "../ports/borders.ts";
import { keysText } from "../strict/strict-bundle.ts";
import { borderRow, idsIn, nameOf } from "./border-rows.ts";

interface Tombstone extends BorderPath {
  readonly bornAt: number;
}

/** The tombstones of one border, the oldest first; as many as keys may be held. */
export class VoidedIds {
  readonly #context: Pick<Context, "ages" | "policy">;
  readonly #border: KmId;
  readonly #byName = new Map<string, Tombstone>();

  constructor(context: Pick<Context, "ages" | "policy">, border: KmId) {
    this.#context = context;
    this.#border = border;
  }

  restore(row: BorderRow): void {
    const { initiator, target, bornAt } = row;
    for (const keyId of idsIn(row)) this.#byName.set(nameOf(keyId), { initiator, target, bornAt });
  }

  /** Between which applications the key was; undefined for one that was not voided. */
  pathOf(keyId: string): BorderPath | undefined {
    return this.#byName.get(nameOf(keyId));
  }

  add(keyId: string, { initiator, target }: BorderPath, change: Change): void {
    const bornAt = this.#context.ages.nowOn();
    const name = nameOf(keyId);
    this.#byName.set(name, { initiator, target, bornAt });
    const keys = keysText([{ id: keyId, length: 0 }]);
    change.put(
      TABLE.border,
      this.#row(name),
      borderRow("void", { initiator, target }, { border: this.#border, bornAt, keys }),
    );
    for (const oldest of this.#byName.keys()) {
      if (this.#byName.size <= this.#context.policy.maxHeld) return;
      this.#remove(oldest, change);
    }
  }

  /** The change that was to add it was rejected. */
  drop(keyId: string): void {
    this.#byName.delete(nameOf(keyId));
  }

  /** Whether there is one of that kind. */
  has(isWanted: (tombstone: { readonly bornAt: number }) => boolean): boolean {
    return this.#byName.values().some(isWanted);
  }

  /** Those that are so old are over. */
  expire(isOld: (tombstone: { readonly bornAt: number }) => boolean, change: Change): void {
    for (const [name, tombstone] of [...this.#byName]) if (isOld(tombstone)) this.#remove(name, change);
  }

  #row(name: string): string {
    return `${this.#border}/void/${name}`;
  }

  #remove(name: string, change: Change): void {
    this.#byName.delete(name);
    change.remove(TABLE.border, this.#row(name));
  }
}
