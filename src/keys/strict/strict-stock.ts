// Whole keys that we make and relay to a strict peer, in stock for our applications.

import type { KmId } from "../../core/ids.ts";
import type { Provenance } from "../../core/topology/provenance.ts";
import type { Context } from "../common/context.ts";
import { TABLE, type UnprotectedRow } from "../common/rows.ts";
import { MAX_PIECES } from "../supply/source-key.ts";
import { Bundle } from "./strict-bundle.ts";
import type { Claim } from "./strict-grant.ts";
import { BundleInventory, rowOf } from "./strict-inventory.ts";

/** So many keys of one size. */
export interface KeyOptions {
  readonly count: number;
  /** Bytes of each. */
  readonly size: number;
}

/** Keys made here and relayed to a strict peer, ready for applications. */
export class StrictStock {
  readonly book: BundleInventory;
  readonly #context: Context;
  /** Keys being relayed, by their size in bytes. */
  readonly #inFlight = new Map<number, number>();

  constructor(context: Context, peer: KmId) {
    this.#context = context;
    this.book = new BundleInventory(context, {
      peer,
      role: "source",
      write: (bundle, change) => void change.put(TABLE.whole, bundle.id, rowOf(bundle, peer, "ready")),
      forget: ({ id }, change) => void change.remove(TABLE.whole, id),
    });
  }

  restore(id: string, row: UnprotectedRow): void {
    this.book.add(new Bundle(id, row));
  }

  /**
   * How many more keys of a size may be relayed. `mayReplace`: keys of other sizes count for nothing, for they go when the peer
   * has taken these.
   */
  room(size: number, mayReplace: boolean): number {
    const kept = mayReplace ? this.ready(size) : this.book.size;
    return Math.max(0, this.#context.policy.maxHeld - kept - this.allInFlight);
  }

  /**
   * Keys that the peer has taken. Only now the oldest of other sizes make room for them, where they may: a peer that is full
   * of those would refuse these, and supply of what both have would have ended for nothing.
   */
  enter(bundle: Bundle, mayReplace: boolean): void {
    this.book.add(bundle);
    const isOther = (one: Bundle): boolean => one.lengthOf(0) !== bundle.lengthOf(0);
    const others = mayReplace ? [...this.book.bundles].filter(isOther) : [];
    for (const surplus of [...others, bundle]) {
      if (this.book.size <= this.#context.policy.maxHeld) return;
      this.book.end([surplus], "overflow");
    }
  }

  /** Keys of a size that can be supplied. */
  ready(size: number): number {
    return this.#ofSize(size).reduce((sum, { left }) => sum + left, 0);
  }

  inFlight(size: number): number {
    return this.#inFlight.get(size) ?? 0;
  }

  /** All keys being relayed. */
  get allInFlight(): number {
    return this.#inFlight.values().reduce((sum, count) => sum + count, 0);
  }

  /** More keys of a size are being relayed, or fewer. */
  fly(size: number, change: number): void {
    const count = this.inFlight(size) + change;
    if (count === 0) this.#inFlight.delete(size);
    else this.#inFlight.set(size, count);
  }

  /** Keys that are missing for this request alone, for no grant reaches into too many blocks. */
  lacking({ count, size }: KeyOptions): number {
    return Math.max(0, count - mostOf(largestFirst(this.#ofSize(size))));
  }

  /** Ready keys for a request, oldest first where that is enough; undefined when there are too few. Nothing is taken yet. */
  pick({ count, size }: KeyOptions, { maxAgeMs }: Pick<Provenance, "maxAgeMs"> = {}): readonly Claim[] | undefined {
    const now = this.#context.ages.now();
    const bundles = this.#ofSize(size).filter(({ bornAt }) => maxAgeMs === undefined || now - bornAt <= maxAgeMs);
    const order = [bundles, largestFirst(bundles)].find((candidates) => mostOf(candidates) >= count);
    if (order === undefined) return undefined;
    const claims: Claim[] = [];
    for (const bundle of order.slice(0, MAX_PIECES)) {
      for (const index of bundle.free(count - claims.length)) claims.push({ bundle, index });
    }
    return claims;
  }

  /** All keys of a bundle have one size. */
  #ofSize(size: number): readonly Bundle[] {
    return [...this.book.bundles].filter((bundle) => bundle.left > 0 && bundle.lengthOf(0) === size);
  }

  expire(oldestBorn: number): void {
    this.book.end(
      [...this.book.bundles].filter(({ bornAt }) => bornAt <= oldestBorn),
      "expired",
    );
  }
}

const largestFirst = (bundles: readonly Bundle[]): readonly Bundle[] => bundles.toSorted((a, b) => b.left - a.left);

/** Keys of as many bundles as one grant may reach into. */
const mostOf = (bundles: readonly Bundle[]): number =>
  bundles.slice(0, MAX_PIECES).reduce((sum, { left }) => sum + left, 0);
