// Who of the configured peers is connected: one dialogue each, the newest.

import { compareIds, type KmId } from "../core/ids.ts";
import type { Limit } from "../core/limits.ts";
import type { PeerEvents } from "../keys/ports/peers.ts";
import type { Channel } from "../net/channel.ts";
import { generationOf } from "./generation.ts";
import type { KeepaliveTimes } from "./keepalive.ts";
import type { Dialect } from "./server.ts";
import { KxSession, type SessionPorts } from "./session.ts";

/** What each dialogue needs, and who is told that a peer comes or goes. */
export interface RosterPorts extends SessionPorts {
  readonly events: PeerEvents;
}

/** This KM and the peers that may be connected. */
export interface RosterOptions {
  /** This KM. */
  readonly km: KmId;
  /** Asked each time: peers come and go with the configuration. */
  readonly peers: () => readonly { readonly id: KmId; readonly dialect: Dialect }[];
  readonly defaultKeyBits: Limit;
  readonly keepalive?: KeepaliveTimes;
}

/** Of two KMs the one whose ID sorts first dials. */
export const dials = (self: KmId, peer: KmId): boolean => compareIds(self, peer) < 0;

/** Deterministic: channels come in, events go out. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #ports: RosterPorts;
  readonly #sessions = new Map<KmId, KxSession>();
  /** The highest generation with which each peer has come. */
  readonly #generations = new Map<KmId, number>();
  #stopping = false;

  constructor(options: RosterOptions, ports: RosterPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  /** Peers connected now, in the order of their IDs. */
  connected(): readonly KmId[] {
    return [...this.#sessions.keys()].sort(compareIds);
  }

  /**
   * The peer of that ID, if it is one that may dial us now. A member that has taken over may do so once, even where we
   * dial: it is the first of a higher generation. One of a lower generation may not: it was active before.
   */
  welcome(id: string, serverName: string): KmId | undefined {
    const peer = this.#options.peers().find((candidate) => candidate.id === id)?.id;
    if (peer === undefined) return undefined;
    const [known, generation] = [this.#generations.get(peer) ?? 0, generationOf(serverName)];
    if (generation < known) return undefined;
    return generation > known || !dials(this.#options.km, peer) ? peer : undefined;
  }

  /** Resolves when the dialogue with a peer has ended; undefined when there is none. */
  current(peer: KmId): Promise<string> | undefined {
    return this.#sessions.get(peer)?.ended;
  }

  /** A new authenticated connection with a peer: replaces the one there is. `undefined`, and closed, while stopping. */
  attach(peer: KmId, channel: Channel): KxSession | undefined {
    if (this.#stopping) {
      channel.close("this key manager is stopping");
      return undefined;
    }
    this.#drop(peer, "a new connection replaces it");
    this.#generations.set(peer, Math.max(this.#generations.get(peer) ?? 0, generationOf(channel.serverName)));
    const { km: self, peers, defaultKeyBits, keepalive } = this.#options;
    const dialect = peers().find(({ id }) => id === peer)?.dialect ?? "extended";
    const options = { self, peer, dialect, defaultKeyBits, ...(keepalive && { keepalive }) };
    const session = new KxSession(channel, options, this.#ports);
    this.#sessions.set(peer, session);
    this.#ports.log.info({ peer }, "a key manager is connected");
    void session.ended.then(() => this.#ended(session));
    this.#ports.events.connected(session);
    return session;
  }

  /** Ends the dialogue with a peer that is none any more. */
  remove(peer: KmId): void {
    this.#drop(peer, "it is no peer of this key manager any more");
  }

  /** Ends all dialogues; resolves when their channels are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const sessions = [...this.#sessions.values()];
    for (const session of sessions) this.#drop(session.id, "this key manager is stopping");
    await Promise.all(sessions.map((session) => session.gone));
  }

  #drop(peer: KmId, reason: string): void {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    session.close(reason);
    this.#ended(session);
  }

  #ended(session: KxSession): void {
    if (this.#sessions.get(session.id) !== session) return;
    this.#sessions.delete(session.id);
    this.#ports.log.warn({ peer: session.id, reason: session.endedBecause }, "a key manager is disconnected");
    this.#ports.events.disconnected(session);
  }
}
