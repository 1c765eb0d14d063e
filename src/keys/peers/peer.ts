// Everything shared with one other KM: links, connection, stock, what is held, and how its stock is filled.
//
// Room `peers`: what is shared with one other KM (`peer`: links, connection, stock, received keys, how the stock is filled)
// and, in the same shape, between two applications of this KM (`local-stock`). It joins the rooms above for one peer; it
// neither chooses routes nor speaks to anybody.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { step } from "../../core/life-cycle.ts";
import type { Context } from "../common/context.ts";
import { FIRST_OFFSET } from "../common/key-id.ts";
import type { Admission } from "../common/queues/admission.ts";
import { TABLE } from "../common/rows.ts";
import { keySizes } from "../common/sizes.ts";
import { ReceivedKeys } from "../fetch/received-keys.ts";
import type { LinkInventory } from "../links/link-inventory.ts";
import type { KeySizes } from "../ports/keys.ts";
import type { PeerConnection } from "../ports/peers.ts";
import { SourceStock } from "../supply/stock.ts";
import { type Filling, KeySupplier } from "../supply/supply.ts";
import { PEER_LIFE } from "./life.ts";

/** One other KM: what the configuration says of it. */
export interface PeerSettings {
  readonly id: KmId;
  /** Those that end there; more may come. */
  readonly links: LinkInventory[];
  readonly isServed: boolean;
}

/** What a peer needs of the key manager around it. */
export interface PeerHost {
  readonly admission: Admission;
  /** Links from which KMA-keys for it are taken as the routes are. */
  sources(peer: KmId): readonly LinkInventory[];
  /** Why none can ever come as the routes are, if so. */
  obstacle(peer: KmId): Fault | undefined;
  /** Why none comes now, if so. */
  drought(peer: KmId): Fault | undefined;
  /** Begins as many relays to it as are wanted and possible now. */
  relayMore(peer: KmId): void;
  /** Tells soon what is to be told on its connection. */
  announceSoon(peer: Peer): void;
  /** The rate that a link's module states, in bit/s; for the time before blocks were counted. */
  statedRate(link: LinkInventory): number | undefined;
}

const NO_LINKS = { links: [], bytes: Number.POSITIVE_INFINITY };

/** Everything shared with one other KM, in both directions. */
export class Peer implements Filling {
  readonly id: KmId;
  readonly links: LinkInventory[];
  readonly stock: SourceStock;
  readonly held: ReceivedKeys;
  readonly desk: KeySupplier;
  connection: PeerConnection | undefined;
  /** The highest that a member of it has told; 0 while it is one machine. */
  generation = 0;
  /** Serials given up are told over this connection, for others than the destination could change them in a relay. */
  hasAbandoned = false;
  /** Whether the configuration still has it. Of one that it has no more nothing is asked, and its key only ages. */
  isConfigured = true;
  /** Whether applications here and there may ask for keys with one another: a stock is kept ready for them. */
  isServed: boolean;
  readonly #context: Context;
  readonly #host: PeerHost;
  #life: keyof typeof PEER_LIFE = "unknown";
  #sizes: { readonly keyBytes: number; readonly of: KeySizes } | undefined;
  /** As many KMA-keys were in stock when relays were last asked whether more are wanted: from `above` bytes on up to `most`. */
  #asked = { above: 0, most: 0 };
  #smallest: { readonly links: readonly LinkInventory[]; readonly bytes: number } = NO_LINKS;

  constructor(context: Context, { id, links, isServed }: PeerSettings, host: PeerHost) {
    this.id = id;
    this.links = links;
    this.isServed = isServed;
    this.#context = context;
    this.#host = host;
    this.held = new ReceivedKeys(context, id);
    this.stock = new SourceStock(context, id, this.held);
    this.desk = new KeySupplier(context, this.stock, this, host.admission);
  }

  /** @throws Error when that cannot happen now */
  happened(event: "connected" | "told" | "heard" | "disconnected"): void {
    this.#life = step(PEER_LIFE, this.#life, event);
  }

  /** Both states were exchanged on the connection that stands. */
  get isSynchronised(): boolean {
    return this.#life === "synchronised";
  }

  /** The last state exchange that was begun has ended: until then nothing shared with it is carved. */
  get isReconciled(): boolean {
    return this.#life === "synchronised" || this.#life === "away";
  }

  /** Its state has been heard and applied on this connection. */
  get isHeard(): boolean {
    return this.#life === "heard" || this.#life === "synchronised";
  }

  /** Bytes for applications in one KMA-key to it: of the smallest block of a first hop's links. */
  get keyBytes(): number {
    const links = this.#host.sources(this.id);
    // Asked for with each request: the list is another one only when the routes have changed.
    if (links !== this.#smallest.links) {
      this.#smallest = { links, bytes: Math.min(...links.map(({ settings }) => settings.blockBytes)) };
    }
    return this.#smallest.bytes - FIRST_OFFSET;
  }

  /** Of keys shared with it; another object only when they have changed. */
  get sizes(): KeySizes {
    const { keyBytes } = this;
    const { defaultKeyBits } = this.#context.policy;
    if (this.#sizes?.keyBytes !== keyBytes || this.#sizes.of.defaultBits !== defaultKeyBits) {
      this.#sizes = { keyBytes, of: keySizes(defaultKeyBits, keyBytes + FIRST_OFFSET) };
    }
    return this.#sizes.of;
  }

  /** Why no key for it can ever come as the routes are, if so, and none is in stock. */
  get unreachable(): Fault | undefined {
    return this.stock.size > 0 ? undefined : this.#host.obstacle(this.id);
  }

  /** Tells soon what is to be told on its connection. */
  announceSoon(): void {
    this.#host.announceSoon(this);
  }

  /** Begins as many relays to it as are wanted and possible now. */
  relayMore(): void {
    this.#host.relayMore(this.id);
  }

  /** Serials were given up of which the next relay cannot tell. */
  announceAbandoned(): void {
    this.hasAbandoned = true;
    this.#host.announceSoon(this);
  }

  kick(): void {
    this.relayMore();
    this.#host.announceSoon(this);
  }

  /** With each request: what more is relayed is asked only when a KMA-key has been used up, which spares a tenth of supply. */
  taken(): void {
    const { bytes } = this.stock;
    if (!(bytes > this.#asked.above && bytes <= this.#asked.most)) {
      const { keyBytes } = this;
      const most = Math.ceil(bytes / keyBytes) * keyBytes;
      this.#asked = { above: most - keyBytes, most };
      this.relayMore();
    }
    this.#host.announceSoon(this);
  }

  obstacle(): Fault | undefined {
    if (!this.isReconciled) return new Fault("PEER_UNAVAILABLE", { retryAfterMs: 1000 });
    if (this.stock.size > 0) return undefined;
    const unreachable = this.#host.obstacle(this.id);
    if (unreachable !== undefined) return unreachable;
    if (this.#host.sources(this.id).some((link) => link.agreement !== "refused")) return undefined;
    return new Fault("NO_ROUTE", {
      text: `no link that leads to ${this.id} may be used: its two ends are configured differently, or an operator took it out of use`,
    });
  }

  drought(): Fault | undefined {
    if (!this.isSynchronised) return new Fault("PEER_UNAVAILABLE", { retryAfterMs: 1000 });
    return this.#host.drought(this.id);
  }

  expectedMs(bytes: number): number | undefined {
    const sources = this.#host.sources(this.id);
    const atHand = sources.reduce((sum, link) => sum + link.usable, this.stock.inFlight) * this.keyBytes;
    if (bytes <= atHand) return 0;
    const blocks = Math.ceil((bytes - atHand) / this.keyBytes);
    const now = this.#context.clock.monotonicMs();
    let perMs = 0;
    let waited = 0;
    for (const link of sources.filter((candidate) => candidate.agreement !== "refused")) {
      const interval = link.rate.interval(now) ?? this.#statedInterval(link);
      if (interval === undefined) return undefined;
      perMs += link.ownShare / interval;
      waited = Math.max(waited, Math.min(interval, now - (link.rate.last ?? now)));
    }
    return perMs === 0 ? undefined : Math.max(0, blocks / perMs - waited);
  }

  #statedInterval(link: LinkInventory): number | undefined {
    const rate = this.#host.statedRate(link);
    return rate === undefined || rate <= 0 ? undefined : (link.settings.blockBytes * 8 * 1000) / rate;
  }

  /** Our serials with it, both directions, for a change. */
  peerRow(): readonly [table: string, id: string, row: ReturnType<SourceStock["peerRow"]>] {
    return [TABLE.peer, this.id, this.stock.peerRow()];
  }
}
