// Many sessions at once between the apps of two KMs, whose processes leave at random and come back, or do not.

import type { AkClient, IncomingSession, OpenSession, SuppliedKey } from "../../../src/ak/client.ts";
import { AkRefusal, AkUnanswered } from "../../../src/ak/client.ts";
import { appId } from "../../../src/core/ids.ts";
import type { Seeded } from "../../keys/support/seeded.ts";
import type { App } from "./app.ts";

/** Bytes by key ID. */
export type Keys = Map<string, Buffer>;

/** One session as its initiator knows it. */
export interface SessionRecord {
  readonly sessionId: string;
  readonly from: string;
  readonly to: string;
  readonly budget: number;
  readonly got: Keys;
  /** Keys of requests that were sent and not answered: they may be spent. */
  unanswered: number;
  /** Why its initiator asks no more: its budget is spent, or it was over before, for want of its destination. */
  end: "spent" | "gone";
}

function copy(key: SuppliedKey): Buffer {
  using held = key;
  return held.key.lend((bytes) => Buffer.from(bytes));
}

/** An application that takes what is pushed to it, over one connection at a time. */
export class Taker implements AsyncDisposable {
  readonly app: App;
  readonly taken: Keys = new Map();
  readonly #accepted: string[] = [];
  #client: Promise<AkClient> | undefined;
  /** It has left and does not come back. */
  gone = false;

  constructor(app: App) {
    this.app = app;
  }

  async connect(): Promise<void> {
    const client = this.app.connectAk({
      accepted: [...this.#accepted],
      onSession: (offer) => {
        this.#accepted.push(offer.sessionId);
        this.#take(offer.accept());
      },
    });
    this.#client = client;
    for (const id of this.#accepted) this.#take((await client).resumeIncoming(id));
  }

  async #take(session: IncomingSession): Promise<void> {
    for await (const pushed of session) {
      try {
        const key = pushed.take();
        this.taken.set(key.keyId, copy(key));
      } catch (thrown) {
        if (!(thrown instanceof AkUnanswered)) throw thrown;
      }
    }
  }

  /** Ends the connection, wherever it is with what is pushed to it. */
  async leave(): Promise<void> {
    const client = await this.#client;
    this.#client = undefined;
    await client?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.gone = true;
    await this.leave();
  }
}

/** An application that opens sessions and asks for keys in them until their budgets are spent. */
export class Asker implements AsyncDisposable {
  readonly app: App;
  readonly records: SessionRecord[] = [];
  readonly #random: Seeded;
  #client: Promise<AkClient>;
  #done = false;

  constructor(app: App, random: Seeded) {
    this.app = app;
    this.#random = random;
    this.#client = app.connectAk();
  }

  /** Leaves and comes back: what was under way is lost to it. */
  async reconnect(): Promise<void> {
    if (this.#done) return;
    const old = this.#client;
    this.#client = this.app.connectAk();
    await (await old)[Symbol.asyncDispose]();
    await this.#client;
  }

  /** @returns the session, open */
  async open(taker: Taker): Promise<OpenSession> {
    const budget = this.#random.between(3, 9);
    const destination = appId(taker.app.id);
    const session = await this.#insist(taker, (client) => client.openSession({ destination, maxKeys: budget }));
    if (session === undefined) throw new Error(`${taker.app.id} left before its session was open`);
    const { sessionId } = session;
    const from = this.app.id;
    this.records.push({ sessionId, from, to: taker.app.id, budget, got: new Map(), unanswered: 0, end: "spent" });
    return session;
  }

  /** Asks for keys in a session until none are left, or its destination is gone for good. */
  async spend(sessionId: string, taker: Taker): Promise<void> {
    const record = this.records.find((one) => one.sessionId === sessionId);
    if (record === undefined) throw new Error("there is no such session");
    for (let most = 4; ; ) {
      const count = this.#random.between(1, most);
      try {
        const keys = await this.#insist(taker, (client) => client.resumeSession(sessionId).getKeys({ count }));
        if (keys === undefined) {
          record.end = "gone";
          return;
        }
        for (const key of keys) record.got.set(key.keyId, copy(key));
      } catch (thrown) {
        if (thrown instanceof AkUnanswered && thrown.mayBeServed) record.unanswered += count;
        else if (thrown instanceof AkRefusal && thrown.code === "TOO_MANY_KEYS") most = Math.max(1, most - 1);
        else if (thrown instanceof AkRefusal && thrown.response.endsWith("its budget is spent")) return;
        else if (thrown instanceof AkRefusal && OVER.has(thrown.code ?? "")) {
          record.end = "gone";
          return;
        } else if (!(thrown instanceof AkUnanswered) || this.#done) throw thrown;
      }
    }
  }

  /** Asks again as long as the other application is away; `undefined` when it is gone for good. */
  async #insist<T>(taker: Taker, ask: (client: AkClient) => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await ask(await this.#client);
      } catch (thrown) {
        if (!(thrown instanceof AkRefusal) || !AGAIN.has(thrown.code ?? "")) throw thrown;
        if (taker.gone && thrown.code === "APP_UNAVAILABLE") return undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, this.#random.between(10, 60)));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#done = true;
    await (await this.#client)[Symbol.asyncDispose]();
  }
}

/** On a machine that is too busy a session is idle, or a key is acknowledged too late. */
const OVER = new Set(["SESSION_ENDED", "NOT_ACKNOWLEDGED"]);
const AGAIN = new Set(["APP_UNAVAILABLE", "INSUFFICIENT_KEYS", "BUSY", "QUOTA_EXCEEDED"]);
