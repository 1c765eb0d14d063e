// One KMA-key at its source, and what is taken off it.

import type { EndReason } from "../../core/counters.ts";
import type { BlockId, KeyIdKey, Sealed } from "../../vault/vault.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import type { KeyRoute, SourceRow } from "../common/rows.ts";
import type { GrantedKeys } from "./grants.ts";

/** One KMA-key at its source. */
export class SourceKey {
  readonly serial: number;
  readonly block: BlockId;
  readonly length: number;
  #bornAt: number;
  /** How it came to its destination. */
  readonly route: KeyRoute;
  readonly idKey: KeyIdKey;
  /** The key-ID key as it has to be kept, until it is. */
  readonly sealed: Sealed | undefined;
  state: "ready" | "open" = "ready";
  /** Everything before it is supplied, or lost at a restart. */
  carved = FIRST_OFFSET;
  /** Everything before it may be supplied: it is marked as used on the disk. */
  durable = FIRST_OFFSET;
  /** Grants that still write keys of it. */
  pins = 0;
  /** Why it has ended, though a grant still writes keys of it. */
  ending: EndReason | undefined;

  constructor(
    row: Pick<SourceRow, "serial" | "block" | "length" | "bornAt" | "route">,
    idKey: KeyIdKey,
    sealed?: Sealed,
  ) {
    this.serial = row.serial;
    this.block = row.block;
    this.length = row.length;
    this.#bornAt = row.bornAt;
    this.route = row.route ?? "direct";
    this.idKey = idKey;
    this.sealed = sealed;
  }

  /** When its relay was sent, by the age clock. */
  get bornAt(): number {
    return this.#bornAt;
  }

  /** It is at least as old as that. */
  bornBy(at: number): void {
    this.#bornAt = Math.min(this.#bornAt, at);
  }

  /** Bytes left to carve. */
  get left(): number {
    return this.length - this.carved;
  }
}

/** Keys taken off one KMA-key, whose block is in memory. */
export interface Piece extends GrantedKeys {
  readonly key: SourceKey;
}

/** What a request takes: `count` times `step` bytes, each within one KMA-key. */
export interface Demand {
  readonly count: number;
  readonly step: number;
  /** Only from such KMA-keys. */
  readonly fits?: (key: SourceKey) => boolean;
}

/** The same, with the length of each key in bytes. */
export interface KeyDemand extends Demand {
  readonly length: number;
}

/** KMA-keys that one request may reach into, for all of them are in locked memory at once: enough for any answer. */
export const MAX_PIECES = 24;

/** Whether `bytes` left of a KMA-key are enough of a demand: with shorter rests it would reach into too many. */
export const isPiece = (bytes: number, { count, step }: Demand): boolean =>
  Math.floor(bytes / step) * MAX_PIECES >= count;

/** Demands together: the bytes that they take, and a rest of a KMA-key that is long enough for each of them. */
export interface Total {
  readonly bytes: number;
  readonly rest: number;
}

/** Nobody waits. */
export const NO_DEMAND: Total = { bytes: 0, rest: 0 };

/** One more request that waits. */
export const plus = ({ bytes, rest }: Total, { count, step }: Demand): Total => ({
  bytes: bytes + count * step,
  rest: Math.max(rest, step * Math.ceil(count / MAX_PIECES)),
});

/** Takes a demand off what is left of each KMA-key; returns how many keys were to be had. */
export function carveFrom(left: number[], { count, step }: Demand): number {
  let had = 0;
  for (const [index, bytes] of left.entries()) {
    if (had === count) break;
    if (!isPiece(bytes, { count, step })) continue;
    const fits = Math.min(count - had, Math.floor(bytes / step));
    left[index] = bytes - fits * step;
    had += fits;
  }
  return had;
}
