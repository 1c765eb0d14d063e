// Copies of keys that several applications get, one for each application at home here: on the disk, by ID, and to their end.

import type { EndReason } from "../../core/counters.ts";
import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { BlockId, Change } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { type MulticastRow, multicastBlock, readRow, TABLE } from "../common/rows.ts";
import { fitAnswer } from "../common/sizes.ts";
import { Bundle, keysText, type UnprotectedKeyEntry } from "../strict/strict-bundle.ts";
import type { Claim } from "../strict/strict-grant.ts";
import { BundleInventory, countEnded } from "../strict/strict-inventory.ts";
import { MAX_PIECES } from "../supply/source-key.ts";

/** Whose copy of which keys. */
export interface CopyOptions {
  /** Home of the initiator. */
  readonly peer: KmId;
  readonly initiator: AppId;
  /** Whose it is. */
  readonly app: AppId;
}

/** One application's copy, in a block of its own. */
export interface Copy extends CopyOptions {
  readonly bundle: Bundle;
}

/** What a key ID stands for here. */
interface Named {
  readonly initiator: AppId;
  /** Of each application whose copy was held here; undefined when that has ended. */
  readonly claims: Map<AppId, Claim | undefined>;
}

/** All copies of multicast keys at this KM. */
export class MulticastCopies {
  readonly #context: Context;
  readonly #books = new Map<KmId, BundleInventory>();
  readonly #copies = new Map<Bundle, Copy>();
  readonly #named = new Map<string, Named>();
  /** Read from the disk, of requests that were under way when the process ended, or had whole. */
  readonly #over: [id: string, row: MulticastRow][] = [];

  constructor(context: Context) {
    this.#context = context;
  }

  /** Keys that are not fetched, each copy counted. */
  get size(): number {
    return this.books().reduce((sum, { size }) => sum + size, 0);
  }

  /** Those, and the ones that come back when a change is rejected. */
  get occupied(): number {
    return this.books().reduce((sum, { occupied }) => sum + occupied, 0);
  }

  /** By home of the initiator. */
  books(): readonly BundleInventory[] {
    return [...this.#books.values()];
  }

  book(peer: KmId): BundleInventory {
    const known = this.#books.get(peer);
    if (known !== undefined) return known;
    const book = new BundleInventory(this.#context, {
      peer,
      role: peer === this.#context.self ? "source" : "destination",
      write: (bundle, change) => this.#write(bundle, change),
      forget: (bundle, change) => this.#forget(bundle, change),
    });
    this.#books.set(peer, book);
    return book;
  }

  /** Whether a key of that ID is here. */
  has(keyId: string): boolean {
    return this.#named.has(keyId);
  }

  /** A copy that is to be made; it is nobody's until `add`. */
  make(options: CopyOptions, keys: readonly UnprotectedKeyEntry[]): Copy {
    const id = this.#context.random.hex(16);
    const taken = new Uint8Array(keys.length);
    const row = { block: multicastBlock(id), bornAt: this.#context.ages.nowOn(), keys: keysText(keys), taken };
    return { ...options, bundle: new Bundle(id, row) };
  }

  /** The row of a copy that is not added yet. */
  put({ bundle, ...options }: Copy, state: MulticastRow["state"], change: Change): void {
    change.put(TABLE.multicast, bundle.id, { ...options, state, ...bundle.written });
  }

  /** Its row and its block go. */
  drop({ bundle }: Copy, change: Change): void {
    change.remove(TABLE.multicast, bundle.id).destroy(bundle.block);
  }

  /** From now on it counts; `isNamed`: its application may fetch the keys by their IDs. */
  add(copy: Copy, isNamed: boolean): void {
    const { bundle, peer, initiator, app } = copy;
    this.#copies.set(bundle, copy);
    this.book(peer).add(bundle);
    if (!isNamed) return;
    for (const [index, { id }] of bundle.keys.entries()) {
      const named = this.#named.get(id) ?? { initiator, claims: new Map() };
      named.claims.set(app, { bundle, index });
      this.#named.set(id, named);
    }
  }

  /**
   * The checks of key-protocol 3, in its order. `peer`: the initiator's home when it asked for them.
   * @throws Fault KEY_NOT_FOUND, NOT_AUTHORIZED, TOO_MANY_KEYS
   */
  select(
    { app, initiator }: Omit<CopyOptions, "peer">,
    keyIds: readonly string[],
  ): { readonly peer: KmId; readonly claims: readonly Claim[] } {
    const named = keyIds.map((id) => {
      const found = this.#named.get(id.toLowerCase());
      if (found === undefined) throw new Fault("KEY_NOT_FOUND");
      return found;
    });
    if (named.some((one) => one.initiator !== initiator || !one.claims.has(app))) throw new Fault("NOT_AUTHORIZED");
    const claims = named.flatMap((one) => one.claims.get(app) ?? []);
    const isTwice = new Set(claims).size < keyIds.length;
    // rule: fetch-once-of-several
    if (isTwice || claims.some(({ bundle, index }) => bundle.isTaken(index))) throw new Fault("KEY_NOT_FOUND");
    if (!fitAnswer(claims.map(({ bundle, index }) => bundle.lengthOf(index)))) throw new Fault("TOO_MANY_KEYS");
    if (new Set(claims.map(({ bundle }) => bundle)).size > MAX_PIECES) {
      const text = `the keys lie in more than ${MAX_PIECES} blocks; ask for them in parts`;
      throw new Fault("TOO_MANY_KEYS", { text });
    }
    const [peer, ...more] = new Set(claims.flatMap(({ bundle }) => this.#copies.get(bundle)?.peer ?? []));
    if (peer === undefined) throw new Fault("KEY_NOT_FOUND");
    if (more.length > 0)
      throw new Fault("TOO_MANY_KEYS", { text: `${initiator} has moved between them; ask for them in parts` });
    return { peer, claims };
  }

  /** Ends what is left of these keys, which nobody was given at the other end. */
  end(peer: KmId, initiator: AppId, keyIds: readonly string[], reason: EndReason): void {
    const named = keyIds.flatMap((id) => this.#named.get(id) ?? []).filter((one) => one.initiator === initiator);
    const claims = named.flatMap((one) => [...one.claims.values()].flatMap((claim) => claim ?? []));
    const bundles = new Set(claims.map(({ bundle }) => bundle));
    this.book(peer).end(
      [...bundles].filter((bundle) => this.#copies.get(bundle)?.peer === peer),
      reason,
    );
  }

  /** Ends all that came from a KM's applications. @throws Fault STORE_UNAVAILABLE */
  async endAll(peer: KmId, reason: EndReason): Promise<void> {
    await this.#books.get(peer)?.endAll(reason);
  }

  /** Ends what nobody fetched in time. */
  expire(oldestBorn: number): void {
    for (const book of this.#books.values()) {
      book.end(
        [...book.bundles].filter(({ bornAt }) => bornAt <= oldestBorn),
        "expired",
      );
    }
  }

  /** Reads the rows; gives the names of all their blocks. */
  load(): readonly BlockId[] {
    const rows = [...this.#context.vault.rows(TABLE.multicast)].map(
      ([id, row]) => [id, readRow("multicast", id, row)] as const,
    );
    for (const [id, row] of rows) {
      const { peer, initiator, app } = row;
      const bundle = new Bundle(id, row);
      if (row.state === "reserved" || bundle.left === 0) this.#over.push([id, row]);
      else this.add({ bundle, peer, initiator, app }, app !== initiator);
    }
    return rows.map(([, { block }]) => block);
  }

  /** Destroys what was under way when the process ended; all when the store is a restored copy. @throws Fault STORE_UNAVAILABLE */
  async begin(isRestored: boolean): Promise<void> {
    const change = this.#context.vault.change();
    for (const [id, row] of this.#over.splice(0)) {
      const bundle = new Bundle(id, row);
      this.drop({ ...row, bundle }, change);
      countEnded(this.#context, { peer: row.peer, role: "source" }, bundle, "lost_at_restart");
    }
    await change.commit();
    if (isRestored) for (const book of this.#books.values()) await book.endAll("restored");
  }

  #write(bundle: Bundle, change: Change): void {
    const copy = this.#copies.get(bundle);
    if (copy !== undefined) this.put(copy, "held", change);
  }

  #forget(bundle: Bundle, change: Change): void {
    const app = this.#copies.get(bundle)?.app;
    this.#copies.delete(bundle);
    change.remove(TABLE.multicast, bundle.id);
    for (const { id } of bundle.keys) {
      const claims = this.#named.get(id)?.claims;
      if (app === undefined || claims === undefined) continue;
      if (claims.has(app)) claims.set(app, undefined);
      if (claims.values().every((claim) => claim === undefined)) this.#named.delete(id);
    }
  }
}
