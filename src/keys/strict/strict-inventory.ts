// The bundles of whole keys shared with one peer in one direction, in memory and on the disk.

import type { EndReason } from "../../core/counters.ts";
import type { KmId } from "../../core/ids.ts";
import type { Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import type { UnprotectedRow } from "../common/rows.ts";
import type { Bundle } from "./strict-bundle.ts";

/** Whose bundles, made here or there. */
export interface InventoryOptions {
  readonly peer: KmId;
  /** Ours are made here and relayed to the peer; theirs came from it. */
  readonly role: "source" | "destination";
  /** Puts the row of a bundle whose keys may be taken. */
  write(bundle: Bundle, change: Change): void;
  /** What becomes of the row of a bundle that is over; its block is destroyed in the same change. */
  forget(bundle: Bundle, change: Change): void;
}

/** The bundles shared with one peer in one direction: a strict one, or the home of whoever asked for multicast keys. */
export class BundleInventory {
  readonly #context: Context;
  readonly #options: InventoryOptions;
  readonly #bundles = new Set<Bundle>();
  /** Ended, but keys of it are in hand. */
  readonly #ending = new Map<Bundle, EndReason>();
  /** The disk may say of free keys that they are taken: a change that was rejected may have happened all the same. */
  readonly #doubtful = new Set<Bundle>();

  constructor(context: Context, options: InventoryOptions) {
    this.#context = context;
    this.#options = options;
  }

  get peer(): KmId {
    return this.#options.peer;
  }

  /** In the order of their birth, as far as they were added so. */
  get bundles(): Iterable<Bundle> {
    return this.#bundles;
  }

  /** Keys that are not taken. */
  get size(): number {
    let size = 0;
    for (const { left } of this.#bundles) size += left;
    return size;
  }

  /** Keys that have a place here: those that are not taken, and those that come back when a change is rejected. */
  get occupied(): number {
    let occupied = 0;
    for (const bundle of this.#bundles) occupied += bundle.occupied;
    return occupied;
  }

  has(bundle: Bundle): boolean {
    return this.#bundles.has(bundle);
  }

  add(bundle: Bundle): void {
    this.#bundles.add(bundle);
  }

  /** The row of a bundle whose keys may be taken. */
  write(bundle: Bundle, change: Change): void {
    this.#options.write(bundle, change);
  }

  /** The change that was to take keys of these was rejected. */
  doubt(bundles: Iterable<Bundle>): void {
    for (const bundle of bundles) this.#doubtful.add(bundle);
  }

  /** The store takes changes again: it is told what is free. */
  recovered(): void {
    const bundles = [...this.#doubtful].filter((bundle) => this.#bundles.has(bundle));
    this.#doubtful.clear();
    if (bundles.length === 0) return;
    const change = this.#context.vault.change();
    for (const bundle of bundles) this.write(bundle, change);
    change.commit().catch(() => this.doubt(bundles));
  }

  /** Grants of these have ended: what is taken whole goes, and what was to end meanwhile. */
  retire(bundles: Iterable<Bundle>): void {
    const idle = [...bundles].filter(({ pins }) => pins === 0);
    const over = idle.filter((bundle) => this.#ending.has(bundle) || (bundle.left === 0 && this.#bundles.has(bundle)));
    if (over.length === 0) return;
    const change = this.#context.vault.change();
    for (const bundle of over) this.#drop(bundle, this.#ending.get(bundle), change);
    this.#commit(change).catch(IS_LOGGED);
  }

  /** Ends bundles, counted under their reason. What is in hand goes when that has ended. */
  end(bundles: Iterable<Bundle>, reason: EndReason): void {
    this.#end(bundles, reason).catch(IS_LOGGED);
  }

  /** Ends all; they are off the disk when it resolves. @throws Fault STORE_UNAVAILABLE */
  async endAll(reason: EndReason): Promise<void> {
    await this.#end(this.#bundles, reason);
  }

  async #end(bundles: Iterable<Bundle>, reason: EndReason): Promise<void> {
    const all = [...bundles];
    if (all.length === 0) return;
    const change = this.#context.vault.change();
    for (const bundle of all) {
      if (bundle.pins === 0) this.#drop(bundle, reason, change);
      else {
        this.#bundles.delete(bundle);
        this.#ending.set(bundle, reason);
      }
    }
    await this.#commit(change);
  }

  #drop(bundle: Bundle, reason: EndReason | undefined, change: Change): void {
    this.#bundles.delete(bundle);
    this.#ending.delete(bundle);
    if (reason !== undefined) countEnded(this.#context, this.#options, bundle, reason);
    this.#options.forget(bundle, change);
    change.destroy(bundle.block);
  }

  async #commit(change: Change): Promise<void> {
    const { peer } = this.#options;
    try {
      await change.commit();
    } catch (err) {
      this.#context.log.warn({ peer, err }, "whole keys that ended are still on the disk");
      throw err;
    }
  }
}

const IS_LOGGED = (): void => {};

/** Keys that ended neither supplied nor fetched. */
export function countEnded(
  { log, meter, audit }: Context,
  { peer, role }: Pick<InventoryOptions, "peer" | "role">,
  { block, left, bytesLeft }: Pick<Bundle, "block" | "left" | "bytesLeft">,
  reason: EndReason,
): void {
  if (left === 0) return;
  meter.add("kma_keys_ended", { peer, role, reason }, left);
  meter.add("kma_bytes_lost", { peer, role, reason }, bytesLeft);
  audit.note("whole_keys_ended", { peer, block, role, reason }, { count: left });
  log.info({ peer, role, reason, keys: left }, "whole keys ended unused");
}

/** A bundle as its row. */
export const rowOf = (bundle: Bundle, peer: KmId, state: UnprotectedRow["state"]): UnprotectedRow => ({
  peer,
  state,
  ...bundle.written,
});
