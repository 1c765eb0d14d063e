// Key relays that come over Kx: checked in the order of key-protocol 2, then kept here or passed on.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { Peer } from "../peers/peer.ts";
import type { RelayConfirmation, RelayOffer } from "../ports/peers.ts";
import { partsMs, type RelayHop, relayHopOf } from "../routes/relay-route.ts";
import { type Arrival, acceptKey, checkSerial } from "./relay-destination.ts";
import { checkIncoming } from "./relay-incoming.ts";
import { isPart, type PartAssemblies } from "./relay-parts.ts";
import type { Transits } from "./transit.ts";

/** Takes every key relay that a peer sends: checks the route, then destination, transit or part. */
export class RelayArrivals {
  readonly #context: Context;
  readonly #peers: ReadonlyMap<KmId, Peer>;
  readonly #transits: Transits;
  readonly #assemblies: PartAssemblies;

  constructor(
    context: Context,
    peers: ReadonlyMap<KmId, Peer>,
    { transits, assemblies }: { readonly transits: Transits; readonly assemblies: PartAssemblies },
  ) {
    this.#context = context;
    this.#peers = peers;
    this.#transits = transits;
    this.#assemblies = assemblies;
  }

  /**
   * Takes an offer that `from` sent. Until it first waits it has made all checks but the tag's, and nobody can name its
   * blocks again. @throws Fault that becomes the 0x1102
   */
  async take(from: Peer, offer: RelayOffer): Promise<RelayConfirmation> {
    const obstacle = this.#context.audit.obstacle();
    if (obstacle !== undefined) throw obstacle;
    const relayHop = relayHopOf(offer, this.#context.self, from.id);
    if (relayHop.at === relayHop.path.length - 1) return await this.#accept(from, offer, relayHop);
    const takeBlocks = checkIncoming(this.#context, from, offer);
    return await this.#transits.pass(from, offer, relayHop, takeBlocks());
  }

  async #accept(from: Peer, offer: RelayOffer, relayHop: RelayHop): Promise<RelayConfirmation> {
    const source = this.#peers.get(offer.source);
    if (source?.isConfigured !== true)
      throw new Fault("NOT_ON_ROUTE", { text: `${offer.source} is no peer of this KM` });
    const takeBlocks = checkIncoming(this.#context, from, offer);
    if (isPart(offer)) {
      const position = this.#assemblies.position(source, offer);
      return await position(takeBlocks(), partsMs(relayHop, this.#context.policy.relayTimeoutMs));
    }
    const arrival = this.#arrival(source, offer);
    const incoming = takeBlocks();
    source.held.expect(arrival.serial);
    try {
      return await acceptKey(this.#context, arrival, incoming);
    } finally {
      source.held.settle(arrival.serial);
    }
  }

  /** @throws Fault */
  #arrival(source: Peer, offer: RelayOffer): Arrival {
    const serial = checkSerial(this.#context, source, offer);
    const { connection } = source;
    return {
      source,
      offer,
      serial,
      isWanted: () => source.connection === connection && source.held.isExpected(serial),
    };
  }
}
