// The proactive mode (Q.4161 8.2): sessions in both roles, with the connections of applications and what peers are told.
//
// Room `sessions`: the proactive mode (Q.4161 8.2, design 6). `session-source` is the initiator's home, `session-destination`
// the destination's, `session-table` the bounded set of sessions in one role. Keys of a session are carved at the destination,
// pushed and acknowledged there, and supplied at the source only then. Sessions live in memory and end at a restart.

import type { SessionEnd } from "../../core/counters.ts";
import { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Answer } from "../ports/keys.ts";
import type { ExtensionEntry, PeerConnection, SessionPeer } from "../ports/peers.ts";
import type {
  AppLine,
  PeerKeysRequest,
  SessionAnswer,
  SessionCreation,
  SessionDoor,
  SessionKeysRequest,
  SessionRequest,
} from "../ports/sessions.ts";
import type { SessionView } from "../report.ts";
import { PeerBoots } from "./peer-boots.ts";
import type { Session } from "./session.ts";
import { SessionDestination } from "./session-destination.ts";
import { readEndNotice, SessionEndNotices } from "./session-end-notices.ts";
import type { SessionHost } from "./session-host.ts";
import { AppLines } from "./session-lines.ts";
import { SessionSource } from "./session-source.ts";
import { type SessionRole, SessionTable } from "./session-table.ts";

/** How long an orderly stop waits for peers to hear of the sessions that it ends. */
const STOP_TELLS_MS = 1000;

/** The proactive mode of one KM, in both roles. */
export class Sessions implements SessionDoor {
  readonly #host: SessionHost;
  readonly #tables: Readonly<Record<SessionRole, SessionTable>>;
  readonly #lines: AppLines;
  readonly #source: SessionSource;
  readonly #destination: SessionDestination;
  readonly #endNotices: SessionEndNotices;
  readonly #boots = new PeerBoots();

  constructor(host: SessionHost) {
    this.#host = host;
    const policy = host.context.policy.sessions;
    this.#endNotices = new SessionEndNotices(host.context, (km) => host.peerOf(km));
    const table = (role: SessionRole): SessionTable =>
      new SessionTable(host.context, {
        role,
        policy,
        ...(role === "destination" && { peers: host.peers }),
        ended: (session, reason) => this.#notifyEnd(role, session, reason),
      });
    this.#tables = { initiator: table("initiator"), destination: table("destination") };
    this.#lines = new AppLines((app) => this.#destination.appGone(app));
    this.#destination = new SessionDestination(host, policy, this.#tables.destination, this.#lines);
    this.#source = new SessionSource(host, policy, this.#tables.initiator, { to: (session) => this.#reach(session) });
  }

  /** Sessions by the role of the application at home here, and requests in them under way. */
  get sizes(): { readonly initiator: number; readonly destination: number; readonly asks: number } {
    const { initiator, destination } = this.#tables;
    return { initiator: initiator.size, destination: destination.size, asks: this.#source.asks };
  }

  /** Those there are, at most so many of each role; the most recently used first. */
  list(most: number): readonly SessionView[] {
    const now = this.#host.context.clock.monotonicMs();
    return Object.entries(this.#tables).flatMap(([role, table]) => {
      const latest = table.all().slice(-most).reverse();
      return latest.map((session) => viewOf(role as SessionRole, session, now));
    });
  }

  attach(line: AppLine): () => void {
    return this.#lines.attach(line);
  }

  createSession(request: SessionRequest, answer: SessionAnswer): () => void {
    return this.#source.create(request, answer);
  }

  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void {
    return this.#source.keys(request, answer);
  }

  /** Q.4163 0x1103 with `session_creation`. @throws Fault */
  created(peer: PeerConnection, creation: SessionCreation): Promise<void> {
    return this.#destination.created(this.#notifier(peer), creation);
  }

  /** Q.4163 0x1103. @returns the IDs acknowledged @throws Fault */
  notified(peer: PeerConnection, asked: PeerKeysRequest): Promise<readonly string[]> {
    return this.#destination.notified(this.#notifier(peer), asked);
  }

  #notifier(peer: PeerConnection) {
    return { id: peer.id, isCurrent: () => this.#host.isCurrent(peer) };
  }

  /** What a peer tells, as far as it concerns sessions. @throws Fault MALFORMED_REQUEST */
  told(peer: KmId, entries: readonly ExtensionEntry[]): void {
    for (const entry of entries) {
      if (this.#boots.isNew(peer, entry)) this.#endAll("restarted", peer);
      const endNotice = readEndNotice(entry);
      if (endNotice === undefined) continue;
      for (const table of Object.values(this.#tables)) table.heard(peer, endNotice.id, endNotice.reason);
    }
  }

  /** Ends the sessions in which an application takes part that is none here any more, at this end or the other. */
  disown(app: AppId): void {
    for (const table of Object.values(this.#tables)) {
      const ending = table.all().filter(({ terms }) => terms.initiator === app || terms.destination === app);
      for (const session of ending) table.end(session, "disowned");
    }
  }

  /** The connection to a peer has ended. Its sessions go on with the next one. */
  disconnected(peer: KmId): void {
    this.#destination.disconnected(peer);
  }

  /** Ends everything: sessions live in memory only. Resolves when the peers were told, or soon after in vain. */
  async stop(): Promise<void> {
    this.#source.refuseAll(new Fault("STOPPING"));
    this.#endAll("stopped");
    await this.#endNotices.flush(STOP_TELLS_MS);
  }

  /** Ends all sessions, or those that the peer has lost. */
  #endAll(reason: SessionEnd, peer?: KmId): void {
    for (const table of Object.values(this.#tables)) {
      const ending = table.all().filter(({ terms }) => peer === undefined || terms.peer === peer);
      for (const session of ending) table.end(session, reason, peer === undefined ? "here" : "there");
    }
  }

  /** @throws Fault PEER_UNAVAILABLE */
  #reach({ terms }: Session): SessionPeer {
    if (terms.peer === this.#host.context.self) return this.#loop;
    const peer = this.#host.peerOf(terms.peer);
    if (peer === undefined) throw new Fault("PEER_UNAVAILABLE", { retryAfterMs: 1000 });
    return peer;
  }

  /** Both applications are at home here. */
  get #loop(): SessionPeer {
    const notifier = { id: this.#host.context.self, isCurrent: () => true };
    return {
      createSession: (creation) => this.#destination.created(notifier, creation),
      notifySession: (asked) => this.#destination.notified(notifier, asked),
    };
  }

  #notifyEnd(role: SessionRole, session: Session, reason: SessionEnd): void {
    const { peer, id } = session.terms;
    if (peer !== this.#host.context.self) this.#endNotices.add(session, reason);
    else this.#tables[role === "initiator" ? "destination" : "initiator"].heard(peer, id, reason);
  }
}

function viewOf(role: SessionRole, { terms, state, spent, usedAt }: Session, nowMs: number): SessionView {
  const { id, initiator, destination, peer, budget } = terms;
  return { id, role, initiator, destination, peer, state, spent, budget, idleMs: Math.round(nowMs - usedAt) };
}
