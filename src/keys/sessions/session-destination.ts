// Sessions at their destination's home KM: agreed with the application, their keys carved here, pushed and acknowledged.

import { asFault, Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import { ID_PATTERN } from "../../core/ids.ts";
import type { SessionPolicy } from "../../core/policy.ts";
import { idsOf } from "../common/grant-ids.ts";
import type { Grant } from "../ports/keys.ts";
import type { AppLine, PeerKeysRequest, SessionCreation } from "../ports/sessions.ts";
import { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import { type AppLines, appGone } from "./session-lines.ts";
import { budgetOf, checkApps, checkFrames, namedFor } from "./session-rules.ts";
import { endFault, type SessionTable, sessionKey } from "./session-table.ts";

/** The KM that tells of a session, over a connection that may end meanwhile. */
export interface SessionNotifier {
  readonly id: KmId;
  isCurrent(): boolean;
}

/** Sessions whose destination application is at home here. */
export class SessionDestination {
  readonly #host: SessionHost;
  readonly #policy: SessionPolicy;
  readonly #table: SessionTable;
  readonly #lines: AppLines;

  constructor(host: SessionHost, policy: SessionPolicy, table: SessionTable, lines: AppLines) {
    this.#host = host;
    this.#policy = policy;
    this.#table = table;
    this.#lines = lines;
  }

  /** Q.4163 0x1103 with `session_creation`: asks the destination application (0x1206). @throws Fault */
  async created(notifier: SessionNotifier, creation: SessionCreation): Promise<void> {
    this.#host.checkWorking();
    this.#check(notifier, creation);
    const { sessionId: id, initiator, destination } = creation;
    const budget = budgetOf(creation.budget, this.#policy);
    const lines = this.#lines.newestFirst(destination);
    const session = new Session({ id, peer: notifier.id, initiator, destination, budget });
    this.#table.admit(session);
    try {
      session.line = await this.#agreed(lines, creation);
      if (session.state === "ended") throw endFault("left");
      if (!notifier.isCurrent()) throw new Fault("PEER_UNAVAILABLE");
    } catch (thrown) {
      this.#table.refused(session, asFault(thrown).code);
      throw thrown;
    }
    this.#table.opened(session);
  }

  /** The connection that takes part: the newest, but for those that take no sessions at all. @throws Fault */
  async #agreed(lines: readonly AppLine[], creation: SessionCreation): Promise<AppLine> {
    let takesNone: unknown;
    for (const line of lines) {
      try {
        await line.notify(creation, this.#policy.notifyMs);
        return line;
      } catch (thrown) {
        if (asFault(thrown).code !== "APP_UNAVAILABLE") throw thrown;
        takesNone = thrown;
      }
    }
    throw takesNone;
  }

  /** @throws Fault MALFORMED_REQUEST, NOT_AUTHORIZED, UNKNOWN_APPLICATION, NO_ROUTE */
  #check(notifier: SessionNotifier, creation: SessionCreation): void {
    const { sessionId, initiator, destination } = creation;
    if (!ID_PATTERN.test(sessionId)) {
      throw new Fault("MALFORMED_REQUEST", { text: "session_ID shall be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -" });
    }
    checkApps(creation);
    if (this.#host.homeOf(initiator) !== notifier.id) {
      throw new Fault("NOT_AUTHORIZED", { text: `the application ${initiator} is not at home at ${notifier.id}` });
    }
    if (this.#host.homeOf(destination) !== this.#host.context.self) {
      throw new Fault("UNKNOWN_APPLICATION", { text: `the application ${destination} is not at home here` });
    }
    this.#host.pairFor(notifier.id);
  }

  /**
   * Q.4163 0x1103: carves keys and pushes them to the destination application (0x120A).
   * @returns the IDs of the keys that it acknowledged
   * @throws Fault
   */
  async notified(notifier: SessionNotifier, asked: PeerKeysRequest): Promise<readonly string[]> {
    this.#host.checkWorking();
    const session = this.#table.find(sessionKey(notifier.id, asked.sessionId));
    const { destination, peer } = session.terms;
    this.#host.checkSize(asked, peer);
    checkFrames(asked);
    this.#lines.newest(destination);
    session.reserve(asked.count);
    let acknowledged: readonly string[] = [];
    try {
      const grant = await this.#carve(session, asked);
      const line = this.#readyLine(session, notifier, grant);
      acknowledged = await this.#push(session, grant, line);
      if (acknowledged.length === 0) throw this.#refusedBy(line, session);
    } finally {
      session.settle(asked.count, acknowledged.length);
      this.#table.use(session);
      if (session.isSpent) this.#table.end(session, "budget");
    }
    return acknowledged;
  }

  /** From the same stock, and in the same turns, as what the destination asks for itself. @throws Fault */
  #carve(session: Session, { count, sizeBits }: PeerKeysRequest): Promise<Grant> {
    const { initiator, destination, peer } = session.terms;
    const { desk } = this.#host.pairFor(peer);
    const apps = namedFor(session.terms, this.#host.context.self);
    const request = { door: "session", app: destination, destination: initiator, count, sizeBits, apps } as const;
    return new Promise((resolve, reject) => {
      let giveUp = (): void => {};
      const settled = session.onFailure((fault) => {
        settled();
        giveUp();
        reject(fault);
      });
      const granted = (grant: Grant): void => {
        settled();
        resolve(grant);
      };
      const refused = (fault: Fault): void => {
        settled();
        reject(fault);
      };
      giveUp = desk.request(request, { granted, refused });
    });
  }

  /** Where the keys go, if they still may. What was carved in vain is destroyed. @throws Fault */
  #readyLine(session: Session, notifier: SessionNotifier, grant: Grant): AppLine {
    try {
      if (session.state === "ended") throw endFault("peer");
      if (!notifier.isCurrent()) throw new Fault("PEER_UNAVAILABLE");
      session.line = this.#lines.lastOrNewest(session.terms.destination, session.line);
      return session.line;
    } catch (thrown) {
      grant[Symbol.dispose]();
      throw thrown;
    }
  }

  async #push(session: Session, grant: Grant, line: AppLine): Promise<readonly string[]> {
    const { id, destination } = session.terms;
    const pushed = idsOf(grant);
    let told: readonly string[] = [];
    let failure: Fault | undefined;
    try {
      told = await line.push(id, grant, this.#policy.acknowledgeMs);
    } catch (thrown) {
      const { log } = this.#host.context;
      failure = asFault(thrown);
      log.warn({ session: id, app: destination, fault: failure.response }, "keys could not be pushed");
    }
    // Whoever pushed them has done so; after a failure it wipes what is left.
    grant[Symbol.dispose]();
    const acknowledged = pushed.filter((keyId) => told.includes(keyId));
    const lost = pushed.length - acknowledged.length;
    if (lost === 0) return acknowledged;
    const { audit, meter } = this.#host.context;
    meter.add("keys_unacknowledged", { app: destination }, lost);
    audit.note("keys_unacknowledged", { app: destination, session: id }, { count: lost });
    // An application whose answer cannot be read loses the key that it was about. It has not refused the session.
    if (failure?.code === "MALFORMED_REQUEST") throw new Fault("NOT_ACKNOWLEDGED", { text: failure.message });
    return acknowledged;
  }

  /** An application that takes no key though it is there has refused; one that is gone may come back. */
  #refusedBy(line: AppLine, session: Session): Fault {
    if (!this.#lines.isOpen(line)) return appGone(session.terms.destination);
    this.#table.end(session, "refused");
    return new Fault("NOT_ACKNOWLEDGED");
  }

  /** An application's last connection has closed: nothing is carved for it in vain. */
  appGone(app: AppId): void {
    for (const session of this.#table.all()) if (session.terms.destination === app) session.failAll(appGone(app));
  }

  /** The connection to a peer has ended: what waits for stock cannot be told to it. */
  disconnected(peer: KmId): void {
    for (const session of this.#table.all()) {
      if (session.terms.peer === peer) session.failAll(new Fault("PEER_UNAVAILABLE"));
    }
  }
}
