// What other KMs do here: their connections come and go, and each of their requests goes where it belongs.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import { BORDER_ENTRIES } from "../common/border-entries.ts";
import type { Context } from "../common/context.ts";
import type { Peer } from "../peers/peer.ts";
import type {
  ExtensionEntry,
  PeerConnection,
  PeerEvents,
  RelayConfirmation,
  RelayOffer,
  UnprotectedArrival,
} from "../ports/peers.ts";
import type { PeerKeysRequest, SessionCreation } from "../ports/sessions.ts";
import type { RelayNetwork } from "../relay/relay-network.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { notWithStrict, type StrictPeers } from "../strict/strict.ts";
import { Connection } from "./connection.ts";

/** Of an entry that offers a block of a link. */
const SOURCE_BLOCK = "qkm_source_block";

/** What key streams are told of other KMs. */
export interface StreamPeers {
  /** @throws Fault */
  told(peer: KmId, entries: readonly ExtensionEntry[]): void;
  disconnected(peer: KmId): void;
}

/** What borders are told of other KMs of this network. */
export interface BorderPeers {
  /** @throws Fault */
  told(peer: KmId, entries: readonly ExtensionEntry[]): Promise<void>;
  disconnected(peer: KmId): void;
}

/** What holds multicast keys is told of them. */
export interface MulticastPeers {
  /** @throws Fault */
  told(peer: KmId, entries: readonly ExtensionEntry[]): Promise<void>;
}

/** A link whose blocks are made of keys that boxes have at both ends. */
export interface LinkExchange {
  /** The other KM offers a block: resolves when it is durable here. @throws Fault, which becomes the 0x1104 */
  heard(entry: ExtensionEntry): Promise<void>;
}

/** Where what they ask belongs. */
export interface PeerPlaces {
  readonly peers: ReadonlyMap<KmId, Peer>;
  readonly relays: RelayNetwork;
  readonly strict: StrictPeers;
  readonly sessions: Sessions;
  readonly multicast: MulticastPeers;
  /** Undefined where there is no door for them. */
  streams(): StreamPeers | undefined;
  /** Undefined where keys cross no border. */
  borders(): BorderPeers | undefined;
  /** Of a link with this peer; undefined for one whose blocks come from modules, or that there is not. */
  exchange(peer: KmId, link: unknown): LinkExchange | undefined;
  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  checkWorking(): void;
}

/** What peers ask of this KM, handed to the room that it belongs to. */
export class PeerRequests implements PeerEvents {
  readonly #context: Context;
  readonly #places: PeerPlaces;
  readonly #connections = new Map<Peer, Connection>();
  #stopping = false;

  constructor(context: Context, places: PeerPlaces) {
    this.#context = context;
    this.#places = places;
  }

  connected(connection: PeerConnection): void {
    const { peers, relays, strict } = this.#places;
    if (!this.#stopping && strict.connected(connection)) return;
    const peer = peers.get(connection.id);
    if (peer?.isConfigured !== true || this.#stopping) {
      connection.close("no peer of this KM");
      return;
    }
    this.#connections.get(peer)?.end();
    this.#lost(connection.id);
    const exchange = new Connection(this.#context, peer, connection, relays);
    this.#connections.set(peer, exchange);
    peer.connection = connection;
    void exchange.begin();
  }

  disconnected(connection: PeerConnection): void {
    const { peers, relays, strict } = this.#places;
    strict.disconnected(connection);
    const peer = peers.get(connection.id);
    if (peer?.connection !== connection) return;
    this.#context.audit.note("peer_lost", { peer: connection.id });
    peer.connection = undefined;
    peer.happened("disconnected");
    relays.disconnected(connection.id);
    this.#connections.get(peer)?.end();
    this.#connections.delete(peer);
    this.#lost(connection.id);
  }

  /** Ends the connection with a peer, if there is one: what comes next begins with an exchange. */
  drop(peer: Peer, why: string): void {
    const { connection } = peer;
    if (connection === undefined) return;
    connection.close(why);
    this.disconnected(connection);
  }

  /** Whatever waited for the connection with a peer. */
  #lost(peer: KmId): void {
    this.#places.sessions.disconnected(peer);
    this.#places.streams()?.disconnected(peer);
    this.#places.borders()?.disconnected(peer);
  }

  /** @throws Fault */
  async relayed(connection: PeerConnection, offer: RelayOffer): Promise<RelayConfirmation> {
    return await this.#connection(connection).relayed(offer);
  }

  /** @throws Fault */
  async told(connection: PeerConnection, entries: readonly ExtensionEntry[]): Promise<void> {
    const exchange = this.#connection(connection);
    this.#places.sessions.told(connection.id, entries);
    this.#streamsTold(connection.id, entries);
    await this.#places.multicast.told(connection.id, entries);
    await this.#bordersTold(connection.id, entries);
    // A box may take its time: what else is told does not wait for it.
    for (const entry of entries) if (entry.name === SOURCE_BLOCK) await this.#blockOffered(connection.id, entry);
    await exchange.told(entries);
  }

  /** @throws Fault EXTENSION_UNSUPPORTED where there is no door for streams */
  #streamsTold(peer: KmId, entries: readonly ExtensionEntry[]): void {
    const streams = this.#places.streams();
    if (streams !== undefined) streams.told(peer, entries);
    else if (entries.some(({ name }) => name === "qkm_stream")) {
      throw new Fault("EXTENSION_UNSUPPORTED", { text: "this key manager has no door for key streams" });
    }
  }

  /** @throws Fault EXTENSION_UNSUPPORTED where keys cross no border */
  async #bordersTold(peer: KmId, entries: readonly ExtensionEntry[]): Promise<void> {
    if (!entries.some(({ name }) => name.startsWith(BORDER_ENTRIES))) return;
    const borders = this.#places.borders();
    if (borders !== undefined) return await borders.told(peer, entries);
    const text = "this key manager has neither [etsi020] nor [[apps]] of another network";
    throw new Fault("EXTENSION_UNSUPPORTED", { text });
  }

  /** @throws Fault EXTENSION_UNSUPPORTED where the link's blocks do not come from boxes, and those of the exchange */
  async #blockOffered(peer: KmId, entry: ExtensionEntry): Promise<void> {
    this.#places.checkWorking();
    const exchange = this.#places.exchange(peer, entry.link);
    if (exchange !== undefined) return await exchange.heard(entry);
    throw new Fault("EXTENSION_UNSUPPORTED", {
      text: "no link with this key manager has its key from boxes by that ID",
    });
  }

  /** @throws Fault */
  async relayedUnprotected(connection: PeerConnection, arrival: UnprotectedArrival): Promise<void> {
    this.#places.checkWorking();
    await this.#places.strict.relayedUnprotected(connection, arrival);
  }

  /** @throws Fault */
  async sessionCreated(connection: PeerConnection, creation: SessionCreation): Promise<void> {
    this.#connection(connection);
    await this.#places.sessions.created(connection, creation);
  }

  /** @throws Fault */
  async sessionNotified(connection: PeerConnection, options: PeerKeysRequest): Promise<readonly string[]> {
    this.#connection(connection);
    return await this.#places.sessions.notified(connection, options);
  }

  #connection(connection: PeerConnection): Connection {
    if (this.#stopping) throw new Fault("STOPPING");
    const { peers, strict } = this.#places;
    if (strict.get(connection.id) !== undefined) throw notWithStrict(connection.id);
    const peer = peers.get(connection.id);
    const exchange = peer && this.#connections.get(peer);
    if (exchange?.connection !== connection)
      throw new Fault("PEER_UNAVAILABLE", { text: "the connection was replaced" });
    return exchange;
  }

  /** Marks and arrivals of this KM have moved: it is told with the next that go. */
  announceSoon(peer: Peer): void {
    this.#connections.get(peer)?.announceSoon();
  }

  /** From now on refuses what comes. */
  refuse(): void {
    this.#stopping = true;
  }

  /** Tells nobody anything more. */
  end(): void {
    for (const connection of this.#connections.values()) connection.end();
  }
}
