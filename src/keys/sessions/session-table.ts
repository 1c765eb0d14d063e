// The sessions that one KM has in one role: bounded, found by name, ended when idle, and remembered for a while after.

import { SESSION_ENDS, type SessionEnd } from "../../core/counters.ts";
import { Fault, type FaultCode } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { SessionPolicy } from "../../core/policy.ts";
import type { Context } from "../common/context.ts";
import type { SessionId } from "../ports/sessions.ts";
import { FairShares } from "./fair-shares.ts";
import type { Session } from "./session.ts";

/** Which of a session's two applications is at home here. */
export type SessionRole = "initiator" | "destination";

/** Ended sessions whose end is remembered, so that who asks for one is told why it ended. */
const MAX_REMEMBERED = 1024;

interface TableSettings {
  /** KMs among which the places are shared out; absent where sessions begin here. */
  readonly peers?: () => number;
  /** Which of a session's applications is at home here. */
  readonly role: SessionRole;
  readonly policy: SessionPolicy;
  /** A session was ended by this KM. */
  readonly ended: (session: Session, reason: SessionEnd) => void;
}

/** The sessions in one role, bounded. */
export class SessionTable {
  readonly #context: Pick<Context, "audit" | "clock" | "log" | "meter">;
  readonly #settings: TableSettings;
  /** The least recently used first. */
  readonly #sessions = new Map<string, Session>();
  readonly #perApp = new Map<AppId, number>();
  /** By the KM at the other end: none keeps the others' sessions out. */
  readonly #perPeer: FairShares<KmId> | undefined;
  /** The same of each application's places. */
  readonly #perAppAndPeer = new Map<AppId, FairShares<KmId>>();
  readonly #ended = new Map<string, SessionEnd>();
  #stopTimer: (() => void) | undefined;

  constructor(context: Pick<Context, "audit" | "clock" | "log" | "meter">, settings: TableSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#perPeer = this.#shares(({ max }) => max);
  }

  /** Undefined where sessions begin here. */
  #shares(placesOf: (policy: SessionPolicy) => number): FairShares<KmId> | undefined {
    const { peers, policy } = this.#settings;
    if (peers === undefined) return undefined;
    return new FairShares({
      get places() {
        return placesOf(policy);
      },
      get parties() {
        return peers();
      },
    });
  }

  get size(): number {
    return this.#sessions.size;
  }

  all(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  /** Destinations know a session by its source KM too; the initiator's own KM chose the ID. */
  #key(session: Session): string {
    const { peer, id } = session.terms;
    return this.#settings.role === "initiator" ? id : sessionKey(peer, id);
  }

  #app({ terms }: Session): AppId {
    return terms[this.#settings.role];
  }

  /** Takes in a session that is being opened. @throws Fault BUSY; MALFORMED_REQUEST when its name is taken */
  admit(session: Session): void {
    const { max, maxPerApp } = this.#settings.policy;
    const app = this.#app(session);
    const ofApp = this.#perApp.get(app) ?? 0;
    if (this.#sessions.has(this.#key(session)) || this.#ended.has(this.#key(session))) {
      throw new Fault("MALFORMED_REQUEST", { text: "there was a session of this session_ID already" });
    }
    if (ofApp >= maxPerApp) throw new Fault("BUSY", { text: `${app} has ${ofApp} sessions, as many as it may` });
    if (this.size >= max) throw new Fault("BUSY", { text: `there are ${this.size} sessions, as many as may be` });
    const { peer } = session.terms;
    const places = this.#perAppAndPeer.get(app) ?? this.#shares((policy) => policy.maxPerApp);
    if (this.#perPeer?.mayTake(peer) === false || places?.mayTake(peer) === false)
      throw new Fault("BUSY", { text: `the places left are for other KMs than ${peer}` });
    this.#perPeer?.take(peer);
    places?.take(peer);
    if (places !== undefined) this.#perAppAndPeer.set(app, places);
    this.#perApp.set(app, ofApp + 1);
    this.#touch(session);
  }

  opened(session: Session): void {
    session.state = "open";
    const { audit, meter } = this.#context;
    const { role } = this.#settings;
    const { id, initiator, destination, peer } = session.terms;
    meter.add("sessions_opened", { role });
    audit.note("session_opened", { session: id, role, initiator, target: destination, peer });
    this.use(session);
  }

  /** A session that was being opened will not be. */
  refused(session: Session, fault: FaultCode): void {
    if (session.state !== "opening") return;
    this.#leave(session);
    this.#context.meter.add("sessions_refused", { role: this.#settings.role, fault });
  }

  /** Tells the other KM of a session's end, which may have been opened there alone. */
  disown(session: Session, reason: SessionEnd): void {
    this.#settings.ended(session, reason);
  }

  /** An open session. @throws Fault SESSION_ENDED, SESSION_UNKNOWN */
  find(key: string): Session {
    const session = this.#sessions.get(key);
    if (session?.state === "open") return session;
    const reason = this.#ended.get(key);
    throw reason === undefined ? new Fault("SESSION_UNKNOWN") : endFault(reason);
  }

  /** It was used now. */
  use(session: Session): void {
    if (session.state !== "ended") this.#touch(session);
  }

  #touch(session: Session): void {
    const key = this.#key(session);
    session.usedAt = this.#context.clock.monotonicMs();
    this.#sessions.delete(key);
    this.#sessions.set(key, session);
    if (this.#stopTimer === undefined) this.#arm(session.usedAt);
  }

  #arm(firstUsedAt: number): void {
    const { clock } = this.#context;
    const afterMs = firstUsedAt + this.#settings.policy.idleMs - clock.monotonicMs();
    this.#stopTimer = clock.after(Math.max(1, afterMs), () => this.#sweep());
  }

  #sweep(): void {
    this.#stopTimer = undefined;
    const oldest = this.#context.clock.monotonicMs() - this.#settings.policy.idleMs;
    for (const session of this.all()) {
      if (session.usedAt > oldest) break;
      if (session.isBusy) this.#touch(session);
      else this.end(session, "idle");
    }
    const [first] = this.#sessions.values();
    this.#disarm();
    if (first !== undefined) this.#arm(first.usedAt);
  }

  /** Ends a session, whatever state it is in; `by` the other KM when it told so. */
  end(session: Session, reason: SessionEnd, by: "here" | "there" = "here"): void {
    if (session.state === "ended") return;
    const { audit, log, meter } = this.#context;
    const { terms, state, spent } = session;
    const { role, ended } = this.#settings;
    this.#leave(session);
    if (state === "open") {
      meter.add("sessions_ended", { role, reason });
      audit.note("session_ended", { session: terms.id, role, peer: terms.peer, reason, keys: spent });
    }
    log.debug(
      { event: "session_ended", session: terms.id, peer: terms.peer, app: this.#app(session), role, reason, spent },
      "a session ended",
    );
    this.#remember(this.#key(session), reason);
    session.failAll(endFault(reason));
    if (by === "here") ended(session, reason);
  }

  #leave(session: Session): void {
    session.state = "ended";
    this.#sessions.delete(this.#key(session));
    const app = this.#app(session);
    this.#perPeer?.giveBack(session.terms.peer);
    this.#perAppAndPeer.get(app)?.giveBack(session.terms.peer);
    const ofApp = (this.#perApp.get(app) ?? 1) - 1;
    if (ofApp > 0) this.#perApp.set(app, ofApp);
    else {
      this.#perApp.delete(app);
      this.#perAppAndPeer.delete(app);
    }
    if (this.#sessions.size === 0) this.#disarm();
  }

  #disarm(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #remember(key: string, reason: SessionEnd): void {
    this.#ended.set(key, reason);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > MAX_REMEMBERED && oldest !== undefined) this.#ended.delete(oldest);
  }

  /** The other KM tells that it ended a session; of one that is not shared with it there is nothing to end. */
  heard(peer: KmId, id: SessionId, reason: SessionEnd): void {
    const session = this.#sessions.get(this.#settings.role === "initiator" ? id : sessionKey(peer, id));
    if (session?.terms.peer === peer) this.end(session, reason, "there");
  }
}

/** The name of a session at its destination's home KM. */
export const sessionKey = (peer: KmId, id: SessionId): string => `${peer} ${id}`;

/** The fault of a request in a session that has ended. */
export const endFault = (reason: SessionEnd): Fault =>
  new Fault("SESSION_ENDED", { text: `the session has ended: ${SESSION_ENDS[reason]}` });
