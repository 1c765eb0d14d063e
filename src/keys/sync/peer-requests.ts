// What other KMs do here: their connections come and go, and each of their requests goes where it belongs.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Context } from "../common/context.ts";
import type { Remote } from "../peers/peer.ts";
import type {
  ExtensionEntry,
  Peer,
  PeerEvents,
  PeerKeysRequest,
  RelayConfirmation,
  RelayOffer,
  SessionCreation,
  UnprotectedArrival,
} from "../ports.ts";
import type { RelayNetwork } from "../relay/relay-network.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { notWithStrict, type StrictPeers } from "../strict/strict.ts";
import { Connection } from "./connection.ts";

/** Where what they ask belongs. */
export interface PeerPlaces {
  readonly remotes: ReadonlyMap<KmId, Remote>;
  readonly relays: RelayNetwork;
  readonly strict: StrictPeers;
  readonly sessions: Sessions;
  /** @throws Fault STOPPING, HSM_UNAVAILABLE, STORE_UNAVAILABLE */
  checkWorking(): void;
}

export class PeerRequests implements PeerEvents {
  readonly #context: Context;
  readonly #places: PeerPlaces;
  readonly #connections = new Map<Remote, Connection>();
  #stopping = false;

  constructor(context: Context, places: PeerPlaces) {
    this.#context = context;
    this.#places = places;
  }

  connected(peer: Peer): void {
    const { remotes, relays, sessions, strict } = this.#places;
    if (!this.#stopping && strict.connected(peer)) return;
    const remote = remotes.get(peer.id);
    if (remote === undefined || this.#stopping) {
      peer.close("no peer of this KM");
      return;
    }
    this.#connections.get(remote)?.end();
    sessions.disconnected(peer.id);
    const connection = new Connection(this.#context, remote, peer, relays);
    this.#connections.set(remote, connection);
    remote.peer = peer;
    void connection.begin();
  }

  disconnected(peer: Peer): void {
    const { remotes, relays, sessions, strict } = this.#places;
    strict.disconnected(peer);
    const remote = remotes.get(peer.id);
    if (remote?.peer !== peer) return;
    this.#context.audit.note("peer_lost", { peer: peer.id });
    remote.peer = undefined;
    remote.phase = "down";
    remote.isHeard = false;
    relays.disconnected(peer.id);
    this.#connections.get(remote)?.end();
    this.#connections.delete(remote);
    sessions.disconnected(peer.id);
  }

  /** @throws Fault */
  async relayed(peer: Peer, offer: RelayOffer): Promise<RelayConfirmation> {
    return await this.#connection(peer).relayed(offer);
  }

  /** @throws Fault */
  async told(peer: Peer, entries: readonly ExtensionEntry[]): Promise<void> {
    const connection = this.#connection(peer);
    this.#places.sessions.told(peer.id, entries);
    await connection.told(entries);
  }

  /** @throws Fault */
  async relayedUnprotected(peer: Peer, arrival: UnprotectedArrival): Promise<void> {
    this.#places.checkWorking();
    await this.#places.strict.relayedUnprotected(peer, arrival);
  }

  /** @throws Fault */
  async sessionCreated(peer: Peer, creation: SessionCreation): Promise<void> {
    this.#connection(peer);
    await this.#places.sessions.created(peer, creation);
  }

  /** @throws Fault */
  async sessionNotified(peer: Peer, options: PeerKeysRequest): Promise<readonly string[]> {
    this.#connection(peer);
    return await this.#places.sessions.notified(peer, options);
  }

  #connection(peer: Peer): Connection {
    if (this.#stopping) throw new Fault("STOPPING");
    const { remotes, strict } = this.#places;
    if (strict.get(peer.id) !== undefined) throw notWithStrict(peer.id);
    const remote = remotes.get(peer.id);
    const connection = remote && this.#connections.get(remote);
    if (connection?.peer !== peer) throw new Fault("PEER_UNAVAILABLE", { text: "the connection was replaced" });
    return connection;
  }

  /** Marks and arrivals of this KM have moved: it is told with the next that go. */
  announceSoon(remote: Remote): void {
    this.#connections.get(remote)?.announceSoon();
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
