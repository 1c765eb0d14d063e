// Peers of another make, configured as strict: whole keys under TLS alone, both ways (design 5).
//
// Room `strict`: peers of another make, which know the tables of the standard alone. Their keys come and go whole, under TLS
// alone (`strict-relays`, `strict-received-keys`), in bundles of one sealed block (`strict-bundle`, `strict-inventory`), and
// are supplied and fetched under their own IDs (`strict-supply`, `strict-grant`). No unprotected key goes to, or is taken
// from, any other peer.
//
// With them there is no state exchange, no mark and no tag: their `success` counts, and status shows it so.

import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { BlockId } from "../../vault/vault.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import type { Admission } from "../common/queues/admission.ts";
import { readRow, TABLE, type UnprotectedRow, unprotectedBlock } from "../common/rows.ts";
import { keySizes } from "../common/sizes.ts";
import type { KeySizes, SupplyStatus } from "../ports/keys.ts";
import type { PeerConnection, UnprotectedArrival } from "../ports/peers.ts";
import { Bundle } from "./strict-bundle.ts";
import { type BundleInventory, countEnded } from "./strict-inventory.ts";
import { BUNDLE_BYTES, StrictReceivedKeys } from "./strict-received-keys.ts";
import { StrictRelays } from "./strict-relays.ts";
import { type KeyOptions, StrictStock } from "./strict-stock.ts";
import { StrictSupply } from "./strict-supply.ts";

/** What is told of a strict peer beside its ID. */
export interface StrictSettings {
  /** The applications that may fetch what it relays to us. */
  readonly fetchApps: readonly AppId[];
}

/** Of keys of the default size: more are relayed below `low`, up to `high`. */
const STRICT_MARKS = { low: 16, high: 64 } as const;

/** Everything shared with one strict peer. */
export class StrictPeer {
  readonly id: KmId;
  readonly stock: StrictStock;
  readonly held: StrictReceivedKeys;
  readonly desk: StrictSupply;
  readonly relays: StrictRelays;
  /** Whether the configuration still has it. Of one that it has no more nothing is asked, and its keys only age. */
  isConfigured = true;
  readonly #context: Context;
  readonly #host: StrictHost;
  #sizes: KeySizes | undefined;
  #peer: PeerConnection | undefined;
  #filling = true;

  constructor(context: Context, { id, fetchApps }: StrictSettings & { readonly id: KmId }, host: StrictHost) {
    this.id = id;
    this.#context = context;
    this.#host = host;
    this.stock = new StrictStock(context, id);
    this.held = new StrictReceivedKeys(context, id, fetchApps);
    this.relays = new StrictRelays(context, this.stock, {
      peer: id,
      connected: () => this.#peer,
      wanted: () => this.#wanted(),
      // Whatever is ready of other sizes was made for somebody who is gone, unless somebody else waits.
      mayReplace: (size) => this.desk.waiting === 0 || this.desk.isAwaited(size),
      changed: () => this.desk.pump(),
    });
    this.desk = new StrictSupply(context, this.stock, host.admission, {
      isConnected: () => this.#peer !== undefined,
      kick: () => this.relays.kick(),
    });
  }

  /** What may be asked. */
  get sizes(): KeySizes {
    const { defaultKeyBits } = this.#context.policy;
    if (this.#sizes?.defaultBits !== defaultKeyBits)
      this.#sizes = keySizes(defaultKeyBits, BUNDLE_BYTES + FIRST_OFFSET);
    return this.#sizes;
  }

  get #marks(): { readonly low: number; readonly high: number } {
    const { maxHeld } = this.#context.policy;
    return { low: Math.min(STRICT_MARKS.low, maxHeld), high: Math.min(STRICT_MARKS.high, maxHeld) };
  }

  get peer(): PeerConnection | undefined {
    return this.#peer;
  }

  #wanted(): KeyOptions | undefined {
    const options = this.desk.missing ?? this.#unfilled();
    if (options === undefined) return undefined;
    const mayReplace = this.desk.waiting === 0 || this.desk.missing !== undefined;
    const count = Math.min(options.count, this.stock.room(options.size, mayReplace));
    return count > 0 ? { ...options, count } : undefined;
  }

  /** From the low mark up to the high one. */
  #unfilled(): KeyOptions | undefined {
    if (!this.#host.isServed(this.id)) return undefined;
    const { low, high } = this.#marks;
    const size = this.sizes.defaultBits / 8;
    const count = this.stock.ready(size) + this.stock.inFlight(size);
    if (count < low) this.#filling = true;
    if (count >= high) this.#filling = false;
    return this.#filling ? { count: high - count, size } : undefined;
  }

  connected(peer: PeerConnection): void {
    this.#peer = peer;
    this.relays.reset();
    this.relays.kick();
  }

  disconnected(peer: PeerConnection): void {
    if (this.#peer === peer) this.#peer = undefined;
  }

  expire(): void {
    const { ages, policy } = this.#context;
    this.stock.expire(ages.now() - policy.maxAgeMs);
    this.held.expire(ages.nowOn() - policy.maxAgeMs - policy.fetchWindowMs);
  }

  /** What an ETSI 014 status shows. */
  get status(): SupplyStatus {
    const storedKeys = this.stock.ready(this.sizes.defaultBits / 8);
    const maxStoredKeys = Math.max(this.#marks.high, storedKeys);
    return { sourceKm: this.#context.self, targetKm: this.id, storedKeys, maxStoredKeys, sizes: this.sizes };
  }

  restore(id: string, row: UnprotectedRow): void {
    if (row.state === "ready") this.stock.restore(id, row);
    else this.held.restore(id, row);
  }
}

interface StrictHost {
  readonly admission: Admission;
  /** Whether applications here may want keys with applications there. */
  isServed(peer: KmId): boolean;
}

/** All strict peers of this KM. */
export class StrictPeers {
  readonly #context: Context;
  readonly #host: StrictHost;
  readonly #peers: Map<KmId, StrictPeer>;
  /** Rows of relays that were under way when the process ended. */
  readonly #lost: [id: string, row: UnprotectedRow][] = [];

  constructor(context: Context, settings: ReadonlyMap<KmId, StrictSettings>, host: StrictHost) {
    this.#context = context;
    this.#host = host;
    this.#peers = new Map([...settings].map(([id, of]) => [id, new StrictPeer(context, { ...of, id }, host)]));
  }

  /** Those that the configuration has. */
  [Symbol.iterator](): Iterator<StrictPeer> {
    return this.#peers.values().filter(({ isConfigured }) => isConfigured);
  }

  /** Undefined for one that the configuration does not have. */
  get(km: KmId): StrictPeer | undefined {
    const peer = this.#peers.get(km);
    return peer?.isConfigured === true ? peer : undefined;
  }

  /** The configuration has these from now on. What lies here of others ages, and serves again when they come back. */
  configure(settings: ReadonlyMap<KmId, StrictSettings>): void {
    for (const [id, { fetchApps }] of settings) {
      const peer = this.#known(id);
      peer.isConfigured = true;
      peer.held.allow(fetchApps);
    }
    for (const peer of this) if (!settings.has(peer.id)) this.#leave(peer);
  }

  #known(id: KmId): StrictPeer {
    const peer = this.#peers.get(id) ?? new StrictPeer(this.#context, { id, fetchApps: [] }, this.#host);
    this.#peers.set(id, peer);
    return peer;
  }

  #leave(peer: StrictPeer): void {
    peer.isConfigured = false;
    peer.desk.refuseAll(new Fault("NO_ROUTE", { text: `${peer.id} is no peer of this KM any more` }));
    if (peer.peer !== undefined) peer.disconnected(peer.peer);
  }

  /** Reads the books; gives the names of all blocks that belong to them. */
  load(): readonly BlockId[] {
    const rows = [...this.#context.vault.rows(TABLE.whole)].map(
      ([id, row]) => [id, readRow("whole", id, row)] as const,
    );
    for (const [id, row] of rows.toSorted(([, a], [, b]) => a.bornAt - b.bornAt)) {
      if (row.state === "reserved") this.#lost.push([id, row]);
      else {
        const isKnown = this.#peers.has(row.peer);
        const peer = this.#known(row.peer);
        if (!isKnown) peer.isConfigured = false;
        peer.restore(id, row);
      }
    }
    return rows.flatMap(([id, { block }]) => [block, unprotectedBlock("relayed", id)]);
  }

  /**
   * Destroys what was only reserved; all when the store is a restored copy, and our own when the clock went back.
   * @throws Fault STORE_UNAVAILABLE: the next start might believe what should be gone
   */
  async begin(doubt: "restored" | "clock" | undefined): Promise<void> {
    const change = this.#context.vault.change();
    for (const [id, row] of this.#lost.splice(0)) {
      change.remove(TABLE.whole, id).destroy(row.block).destroy(unprotectedBlock("relayed", id));
      countEnded(this.#context, { peer: row.peer, role: "source" }, new Bundle(id, row), "lost_at_restart");
    }
    await change.commit();
    // What was fetched whole, while the store refused the change that was to say so.
    for (const book of this.books()) book.retire(book.bundles);
    if (doubt === undefined) return;
    for (const { stock, held } of this.#peers.values()) {
      await stock.book.endAll(doubt);
      if (doubt === "restored") await held.book.endAll(doubt);
    }
  }

  expire(): void {
    for (const peer of this.#peers.values()) peer.expire();
  }

  kick(): void {
    for (const { relays } of this) relays.kick();
  }

  /** Token or store are back. */
  recovered(): void {
    for (const { relays, desk, stock, held } of this.#peers.values()) {
      stock.book.recovered();
      held.book.recovered();
      relays.reset();
      desk.pump();
    }
  }

  refuseAll(fault: Fault): void {
    for (const { desk } of this.#peers.values()) desk.refuseAll(fault);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#peers.values().map(({ relays }) => relays.stop()));
  }

  /** What is shared with all of them, in both directions. */
  *books(): Iterable<BundleInventory> {
    for (const { stock, held } of this.#peers.values()) {
      yield stock.book;
      yield held.book;
    }
  }

  /** False when it is no strict peer's. */
  connected(peer: PeerConnection): boolean {
    const strict = this.get(peer.id);
    strict?.connected(peer);
    return strict !== undefined;
  }

  disconnected(peer: PeerConnection): void {
    this.#peers.get(peer.id)?.disconnected(peer);
  }

  /** @throws Fault */
  async relayedUnprotected(peer: PeerConnection, arrival: UnprotectedArrival): Promise<void> {
    const strict = this.get(peer.id);
    if (strict === undefined) throw new Fault("PROTECTION_REFUSED", { text: "keys without protection are not taken" });
    if (strict.peer !== peer) throw new Fault("PEER_UNAVAILABLE", { text: "the connection was replaced" });
    try {
      await strict.held.take(arrival);
    } catch (thrown) {
      const fault = thrown instanceof Fault ? thrown.code : "INTERNAL";
      this.#context.meter.add("relays_refused", { peer: peer.id, direction: "in", fault });
      throw thrown;
    }
  }
}

/** The fault of what is not possible with a strict peer. */
export const notWithStrict = (peer: KmId): Fault =>
  new Fault("EXTENSION_UNSUPPORTED", { text: `${peer} is configured as strict: keys on demand are all that there is` });
