// Two applications with sessions (Q.4161 8.2): opened, refused, used up, left; keys acknowledged, or not, or late.

import { Fault } from "../../src/core/fault.ts";
import type { AppId } from "../../src/core/ids.ts";
import type { KeyManager } from "../../src/keys/manager/key-manager.ts";
import type { Grant } from "../../src/keys/ports/keys.ts";
import type { SessionCreation, SessionId } from "../../src/keys/ports/sessions.ts";
import type { AppPorts, Workload } from "./apps.ts";
import { awaited, whenRuns } from "./awaited.ts";
import type { Dice } from "./dice.ts";
import type { SimNode } from "./node.ts";
import type { Pair } from "./oracle.ts";

/** What the key manager waits for the other one and both applications, and some more. */
const OVERDUE_MS = 40_000;
const target = Buffer.alloc(16_384);

interface GivenKey {
  readonly id: string;
  readonly key: string;
}

function keysOf(grant: Grant): GivenKey[] {
  const keys = Array.from({ length: grant.count }, (_, index) => {
    const idEnd = grant.writeId(index, target, 0);
    const id = target.toString("latin1", 0, idEnd);
    return { id, key: target.toString("latin1", idEnd, grant.writeKey(index, target, idEnd)) };
  });
  grant[Symbol.dispose]();
  return keys;
}

/** For whom the keys of a session are named: within one KM the other way round. */
const namedFor = ({ app, at, to, toAt }: Pair): Pair =>
  at === toAt ? { app: to, at: toAt, to: app, toAt: at } : { app, at: toAt, to, toAt: at };

/** An application that takes part in sessions, at whatever process serves it. */
export class SessionListener {
  readonly app: string;
  readonly at: SimNode;
  /** By key ID: the session in which it was acknowledged. */
  readonly acknowledged = new Map<string, SessionId>();
  /** Whether it does what is asked of it. */
  isPlain = false;
  readonly #ports: AppPorts;
  readonly #dice: Dice;
  readonly #creations = new Map<SessionId, SessionCreation>();

  constructor(app: string, at: SimNode, ports: AppPorts) {
    this.app = app;
    this.at = at;
    this.#ports = ports;
    this.#dice = ports.dice.branch(`listens ${app}`);
  }

  /** A new process serves: the application connects to it. */
  connect(km: KeyManager): void {
    km.requests.attach({
      app: this.app as AppId,
      notify: (creation) => this.#notified(creation),
      push: (id, grant, timeoutMs) => this.#pushed(id, grant, timeoutMs),
    });
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.at.after(ms, `${this.app} answers`, resolve));
  }

  async #notified(creation: SessionCreation): Promise<void> {
    await this.#wait(this.#dice.wait(20));
    if (!this.isPlain && this.#dice.once(12)) throw new Fault("NOT_AUTHORIZED");
    this.#creations.set(creation.sessionId, creation);
  }

  async #pushed(id: SessionId, grant: Grant, timeoutMs: number): Promise<readonly string[]> {
    const { oracle, clock, strangers } = this.#ports;
    const { initiator = "" } = this.#creations.get(id) ?? {};
    const from = strangers.find(({ app }) => app === initiator)?.at;
    const keys = keysOf(grant);
    oracle.checks.check(
      "identity",
      from !== undefined,
      () => `${this.app} is pushed keys of session ${id}, which it does not have`,
    );
    if (from === undefined) return [];
    const pair = namedFor({ app: initiator, at: from, to: this.app, toAt: this.at });
    for (const key of keys) oracle.supplied(pair, key, clock.nowMs);
    const manner = this.isPlain ? 9 : this.#dice.between(0, 9);
    await this.#wait(manner === 0 ? timeoutMs : this.#dice.wait(20));
    const taken = manner < 2 ? [] : manner < 4 ? keys.slice(1) : keys;
    for (const key of taken) this.acknowledged.set(key.id, id);
    return taken.map((key) => key.id);
  }
}

/** What an initiator has of its session. */
interface Opened {
  readonly id: SessionId;
  readonly budget: number;
  supplied: number;
}

export class SessionPair implements Workload {
  readonly pair: Pair;
  readonly #listener: SessionListener;
  readonly #ports: AppPorts;
  readonly #dice: Dice;
  intervalMs: number;
  served = { supplied: 0, fetched: 0, refused: 0 };
  readonly refusals = new Map<string, number>();
  #session: Opened | undefined;

  constructor(pair: Pair, intervalMs: number, listener: SessionListener, ports: AppPorts) {
    this.pair = pair;
    this.intervalMs = intervalMs;
    this.#listener = listener;
    this.#ports = ports;
    this.#dice = ports.dice.branch(`session ${pair.app}>${pair.to}`);
  }

  start(): void {
    this.#ports.clock.after(this.#dice.wait(this.intervalMs), this.pair.app, "goes on with its session", () => {
      if (this.intervalMs <= 0) return;
      this.ask(false);
      this.start();
    });
  }

  ask(plain: boolean): void {
    if (plain) this.#listener.isPlain = true;
    whenRuns(this.pair.at, this.pair.app, this.#ports.clock, () => {
      const { km } = this.pair.at;
      if (km === undefined) return;
      // Who forgets a session leaves it to its end by idleness.
      if (!plain && this.#dice.once(25)) this.#session = undefined;
      if (this.#session === undefined) this.#open(km, plain);
      else this.#take(km, this.#session, plain);
    });
  }

  #open(km: KeyManager, plain: boolean): void {
    const { at, app, to } = this.pair;
    const budget = plain ? 100 : this.#dice.between(1, 30);
    const expect = awaited(at, app, OVERDUE_MS, this.#ports);
    const request = { app: app as AppId, destination: to as AppId, applicationName: undefined, budget };
    km.requests.createSession(request, {
      opened: (id) => {
        expect.answered();
        if (at.km !== km) return;
        this.#session = { id, budget, supplied: 0 };
        if (plain) this.#take(km, this.#session, true);
      },
      refused: (fault) => {
        expect.answered();
        if (at.km === km) this.#refused(fault);
      },
    });
  }

  #take(km: KeyManager, session: Opened, plain: boolean): void {
    const { at, app } = this.pair;
    const count = plain ? 1 : this.#dice.between(1, 4);
    const expect = awaited(at, app, OVERDUE_MS, this.#ports);
    const request = { app: app as AppId, sessionId: session.id, count, sizeBits: 256 };
    km.requests.sessionKeys(request, {
      granted: (grant) => {
        expect.answered();
        if (at.km !== km) return;
        this.#granted(session, keysOf(grant), count);
      },
      refused: (fault) => {
        expect.answered();
        if (at.km !== km) return;
        if (fault.code !== "INSUFFICIENT_KEYS") this.#session = undefined;
        this.#refused(fault);
      },
    });
  }

  #granted(session: Opened, keys: readonly GivenKey[], wanted: number): void {
    const { oracle, trace } = this.#ports;
    const { checks } = oracle;
    const { pair } = this;
    const named = namedFor(pair);
    session.supplied += keys.length;
    for (const { id } of keys) {
      const isAcknowledged = this.#listener.acknowledged.get(id) === session.id;
      checks.check(
        "identity",
        isAcknowledged,
        () => `${pair.app} is supplied ${id}, which ${pair.to} did not acknowledge in ${session.id}`,
      );
    }
    const isWithin = keys.length <= wanted && session.supplied <= session.budget;
    checks.check(
      "bounded",
      isWithin,
      () => `${pair.app} has ${session.supplied} keys of a session for ${session.budget}`,
    );
    for (const key of keys) oracle.fetched(pair.at, named.to, named.app, key);
    this.served.supplied += keys.length;
    this.served.fetched += keys.length;
    oracle.reached("keys in a session");
    trace.note(`${pair.app} has ${keys.length} of ${wanted} keys in a session with ${pair.to}`);
  }

  #refused(fault: Fault): void {
    const { oracle, trace } = this.#ports;
    oracle.checks.check(
      "sound",
      fault.code !== "INTERNAL",
      () => `INTERNAL to ${this.pair.app}: ${String(fault.cause)}`,
    );
    this.served.refused++;
    this.refusals.set(fault.code, (this.refusals.get(fault.code) ?? 0) + 1);
    trace.note(`${this.pair.app} is refused in its session: ${fault.code}`);
  }
}
