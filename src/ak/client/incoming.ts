// The destination's side of sessions in an application: offers to accept or refuse, and the keys that are pushed.

import { type AppId, ID_PATTERN } from "../../core/ids.ts";
import type { ProactiveSupply, SessionNotification } from "../messages.ts";
import type { KmRequests, Reply } from "./dialogue.ts";
import { AkUnanswered } from "./failures.ts";
import { type PushedKey, PushedKeys, type Verdict } from "./pushed-keys.ts";
import type { SuppliedKey } from "./supplied-key.ts";

/** A session that another application has opened with this one. Its keys come in the order in which they were pushed. */
export interface IncomingSession extends AsyncIterable<PushedKey>, Disposable {
  readonly sessionId: string;
  /** Ends the iteration, and refuses what comes from now on. */
  close(): void;
}

/** 0x1206: another application wants a session. One that is neither accepted nor refused when the handler ends is refused. */
export interface SessionOffer {
  readonly sessionId: string;
  readonly initiator: AppId;
  readonly applicationName: string | undefined;
  /** The most keys that the session may have; undefined when it does not tell. */
  readonly maxKeys: number | undefined;
  /** @throws AkUnanswered when the connection that it came over has ended; Error when it is answered already */
  accept(): IncomingSession;
  /** The reason reaches the other application. */
  refuse(reason?: string): void;
}

/** Decides about offers. A rejection refuses the offer; tell your own log why. */
export type OnSession = (offer: SessionOffer) => void | Promise<void>;

/** How much of what a key manager pushes is kept until the application takes it. */
export interface IncomingLimits {
  /** Keys of one session that wait to be taken. */
  readonly maxWaitingKeys: number;
  /** Sessions, and offers that are being decided. */
  readonly maxSessions: number;
}

class Incoming implements IncomingSession {
  readonly sessionId: string;
  readonly keys: PushedKeys;
  readonly #closed: () => void;

  constructor(sessionId: string, maxWaitingKeys: number, closed: () => void) {
    this.sessionId = sessionId;
    this.keys = new PushedKeys(maxWaitingKeys);
    this.#closed = closed;
  }

  close(): void {
    this.#closed();
    this.keys.close();
  }

  [Symbol.asyncIterator](): AsyncIterator<PushedKey> {
    return this.keys[Symbol.asyncIterator]();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The destination's end of sessions: answers 0x1206, keeps pushed keys (0x120A) until they are taken or refused. */
export class IncomingSessions implements KmRequests {
  readonly #onSession: OnSession | undefined;
  readonly #limits: IncomingLimits;
  readonly #sessions = new Map<string, Incoming>();
  #deciding = 0;
  #closed = false;

  constructor(onSession: OnSession | undefined, limits: IncomingLimits) {
    this.#onSession = onSession;
    this.#limits = limits;
  }

  /** A session that was accepted before, perhaps by another process. @throws Error when there are as many as may be */
  resume(sessionId: string): IncomingSession {
    const known = this.#sessions.get(sessionId);
    if (known !== undefined) return known;
    if (this.#closed) throw new AkUnanswered("the client is closed", "not sent");
    if (this.#full) throw new Error(`there are ${this.#limits.maxSessions} sessions already: close one`);
    const session = new Incoming(sessionId, this.#limits.maxWaitingKeys, () => this.#sessions.delete(sessionId));
    this.#sessions.set(sessionId, session);
    return session;
  }

  /** The application ends. Its sessions do not: it may go on with them when it is back. */
  close(): void {
    this.#closed = true;
    for (const session of this.#sessions.values()) session.keys.abandon();
    this.#sessions.clear();
  }

  get #full(): boolean {
    return this.#sessions.size + this.#deciding >= this.#limits.maxSessions;
  }

  noticed(message: SessionNotification, reply: Reply): void {
    const { session_ID } = message;
    const answer = (response: string): boolean => reply.send({ session_ID, response });
    if (this.#onSession === undefined || this.#closed) answer("APP_UNAVAILABLE: this connection takes no sessions");
    else if (!ID_PATTERN.test(message.application_source_ID)) answer("MALFORMED_REQUEST: the initiator has no ID");
    else if (this.#sessions.has(session_ID)) answer("success");
    else if (this.#full) answer("BUSY: the application has as many sessions as it may");
    else void this.#decide(message, answer, this.#onSession);
  }

  async #decide(message: SessionNotification, answer: Tell, onSession: OnSession): Promise<void> {
    const offer = new Offer(message, answer, () => {
      this.#deciding -= 1;
      return this.resume(message.session_ID);
    });
    this.#deciding += 1;
    try {
      await onSession(offer);
      offer.refuse("the application did not decide");
    } catch {
      offer.refuse("the application failed to decide");
    }
    if (!offer.accepted) this.#deciding -= 1;
  }

  supplied({ session_ID }: ProactiveSupply, keys: readonly SuppliedKey[], reply: Reply): void {
    const session = this.#sessions.get(session_ID);
    const verdict: Verdict = {
      get open() {
        return reply.open;
      },
      tell: (key_ID, response) => reply.send({ session_ID, key_ID, response }),
    };
    for (const key of keys) {
      if (session !== undefined) {
        session.keys.put(key, verdict);
      } else {
        key[Symbol.dispose]();
        verdict.tell(key.keyId, "SESSION_UNKNOWN: the application has no such session");
      }
    }
  }
}

type Tell = (response: string) => boolean;

class Offer implements SessionOffer {
  readonly sessionId: string;
  readonly initiator: AppId;
  readonly applicationName: string | undefined;
  readonly maxKeys: number | undefined;
  readonly #answer: Tell;
  readonly #open: () => IncomingSession;
  #state: "offered" | "accepted" | "refused" = "offered";

  /** `open` makes the session. */
  constructor(message: SessionNotification, answer: Tell, open: () => IncomingSession) {
    this.sessionId = message.session_ID;
    this.initiator = message.application_source_ID as AppId;
    this.applicationName = message.application_name;
    this.maxKeys = message.number_of_keys;
    this.#answer = answer;
    this.#open = open;
  }

  get accepted(): boolean {
    return this.#state === "accepted";
  }

  accept(): IncomingSession {
    if (this.#state !== "offered") throw new Error(`the offer of session ${this.sessionId} is ${this.#state} already`);
    this.#state = "accepted";
    const session = this.#open();
    if (this.#answer("success")) return session;
    session.close();
    throw new AkUnanswered(`the connection ended before session ${this.sessionId} was accepted`, "not sent");
  }

  refuse(reason = "the application refuses the session"): void {
    if (this.#state !== "offered") return;
    this.#state = "refused";
    this.#answer(`SESSION_REFUSED: ${reason}`);
  }
}
