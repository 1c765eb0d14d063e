// Sessions at their initiator's home KM: opened with the other KM, their keys supplied when the destination has them.

import { asFault, Fault } from "../../core/fault.ts";
import type { SessionPolicy } from "../../core/policy.ts";
import { quotaFault } from "../common/quota.ts";
import { isFetchable } from "../fetch/fetch.ts";
import type { Answer } from "../ports/keys.ts";
import type { SessionPeer } from "../ports/peers.ts";
import type { SessionAnswer, SessionKeysRequest, SessionRequest } from "../ports/sessions.ts";
import { PendingRequest } from "./pending-request.ts";
import { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import { ANSWER_MARGIN_MS, budgetOf, checkApps, checkFrames, namedFor } from "./session-rules.ts";
import { endFault, type SessionTable } from "./session-table.ts";

/** How the KM at a session's other end is reached; ourselves, when both applications are at home here. */
export interface SessionReach {
  /** @throws Fault PEER_UNAVAILABLE */
  to(session: Session): SessionPeer;
}

const SESSION_ID_BYTES = 16;

/** Sessions whose initiator is at home here. */
export class SessionSource {
  readonly #host: SessionHost;
  readonly #policy: SessionPolicy;
  readonly #table: SessionTable;
  readonly #reach: SessionReach;
  readonly #asks = new Set<PendingRequest>();

  constructor(host: SessionHost, policy: SessionPolicy, table: SessionTable, reach: SessionReach) {
    this.#host = host;
    this.#policy = policy;
    this.#table = table;
    this.#reach = reach;
  }

  /** Requests under way. */
  get asks(): number {
    return this.#asks.size;
  }

  /** Answers all that is under way. */
  refuseAll(fault: Fault): void {
    for (const ask of [...this.#asks]) ask.refuse(fault);
  }

  create(request: SessionRequest, answer: SessionAnswer): () => void {
    return this.#begin(answer, (ask) => this.#create(request, answer, ask));
  }

  keys(request: SessionKeysRequest, answer: Answer): () => void {
    return this.#begin(answer, (ask) => this.#keys(request, answer, ask));
  }

  /** Runs a request; whatever it throws is its answer. @returns gives it up */
  #begin(answer: { refused(fault: Fault): void }, work: (ask: PendingRequest) => Promise<void>): () => void {
    const isFull = this.asks >= this.#host.context.policy.maxWaiting;
    const ask = new PendingRequest(answer, this.#asks);
    const run = async (): Promise<void> => {
      this.#host.checkWorking();
      if (isFull) throw new Fault("BUSY", { retryAfterMs: 1000 });
      await work(ask);
    };
    run().catch((thrown: unknown) => ask.refuse(asFault(thrown)));
    return () => void ask.close();
  }

  async #create(request: SessionRequest, answer: SessionAnswer, ask: PendingRequest): Promise<void> {
    const session = this.#admit(request);
    const { id: sessionId, initiator, destination, budget } = session.terms;
    const { applicationName } = request;
    try {
      const peer = this.#reach.to(session);
      const timeoutMs = this.#policy.notifyMs + ANSWER_MARGIN_MS;
      await peer.createSession({ sessionId, initiator, destination, applicationName, budget }, timeoutMs);
      if (session.state === "ended") throw endFault("stopped");
    } catch (thrown) {
      const { code } = asFault(thrown);
      this.#table.refused(session, code);
      // What went unanswered may be open there.
      if (code === "PEER_UNAVAILABLE") this.#table.disown(session, "left");
      throw thrown;
    }
    this.#table.opened(session);
    if (ask.close()) answer.opened(sessionId, this.#host.context.self);
    else this.#table.end(session, "left");
  }

  /** @throws Fault */
  #admit({ app: initiator, destination, applicationName, budget }: SessionRequest): Session {
    const { context, homeOf, pairFor } = this.#host;
    checkApps({ initiator, destination, applicationName });
    if (homeOf(initiator) !== context.self) {
      throw new Fault("UNKNOWN_APPLICATION", { text: `the application ${initiator} is not at home here` });
    }
    const peer = homeOf(destination);
    pairFor(peer);
    const id = context.random.hex(SESSION_ID_BYTES);
    const session = new Session({ id, peer, initiator, destination, budget: budgetOf(budget, this.#policy) });
    this.#reach.to(session);
    this.#table.admit(session);
    return session;
  }

  async #keys(request: SessionKeysRequest, answer: Answer, ask: PendingRequest): Promise<void> {
    const session = this.#table.find(request.sessionId);
    const { initiator, peer } = session.terms;
    if (request.app !== initiator) {
      throw new Fault("NOT_AUTHORIZED", { text: "the session was opened by another application" });
    }
    this.#host.checkSize(request, peer);
    checkFrames(request);
    const keyIds = await this.#acknowledged(session, request);
    if (keyIds.length === 0) throw new Fault("NOT_ACKNOWLEDGED");
    this.#supply(session, keyIds, answer, ask);
  }

  /** Has keys pushed to the destination. @returns the IDs of those that it acknowledged @throws Fault */
  async #acknowledged(session: Session, request: SessionKeysRequest): Promise<readonly string[]> {
    const { sessionId, count, sizeBits, app } = request;
    const { context, quotas } = this.#host;
    const peer = this.#reach.to(session);
    const timeoutMs = context.policy.timeoutMs + this.#policy.acknowledgeMs + ANSWER_MARGIN_MS;
    session.reserve(count);
    let keyIds: readonly string[] = [];
    let taken = 0;
    try {
      const quotaMs = quotas.take(app, count * sizeBits);
      if (quotaMs > 0) throw quotaFault(quotaMs);
      taken = count;
      keyIds = this.#sound(session, request, await peer.notifySession({ sessionId, count, sizeBits }, timeoutMs));
    } catch (thrown) {
      throw this.#refusal(session, asFault(thrown));
    } finally {
      session.settle(count, keyIds.length);
      quotas.refund(app, Math.max(0, taken - keyIds.length) * sizeBits);
      this.#table.use(session);
      if (session.isSpent) this.#table.end(session, "budget");
    }
    return keyIds;
  }

  /** Those that name keys of this session that nobody has had here yet, each once, and no more than were asked. */
  #sound(session: Session, { count, sizeBits }: SessionKeysRequest, named: readonly string[]): readonly string[] {
    const { peer } = session.terms;
    const { context, pairFor } = this.#host;
    const { held } = pairFor(peer);
    const parties = { source: peer, destination: context.self, ...namedFor(session.terms, context.self) };
    const fitting = [...new Set(named)].filter((keyId) => isFetchable(keyId, sizeBits / 8, held, parties));
    const sound = fitting.slice(0, count);
    if (sound.length === named.length) return sound;
    const refused = named.length - sound.length;
    context.meter.add("key_ids_refused", { peer }, refused);
    context.log.warn({ peer, session: session.terms.id, refused }, "a peer named keys that are none of the session's");
    return sound;
  }

  /** What the other KM's refusal means here: a session that it does not have is over. */
  #refusal(session: Session, fault: Fault): Fault {
    if (fault.code !== "SESSION_UNKNOWN" && fault.code !== "SESSION_ENDED") return fault;
    this.#table.end(session, "peer", "there");
    return fault.code === "SESSION_ENDED" ? fault : endFault("peer");
  }

  /** Supplies the initiator with this KM's copies of the keys. */
  #supply({ terms }: Session, keyIds: readonly string[], answer: Answer, ask: PendingRequest) {
    const { context, keyFetcher, pairFor } = this.#host;
    const { initiator, peer } = terms;
    const apps = namedFor(terms, context.self);
    keyFetcher.request({ door: "session", app: initiator, initiator, keyIds, apps }, pairFor(peer).held, {
      granted: (grant) => {
        if (ask.close()) answer.granted(grant);
        else grant[Symbol.dispose]();
      },
      refused: (fault) => ask.refuse(fault),
    });
  }
}
