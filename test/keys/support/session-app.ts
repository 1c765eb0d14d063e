// An application with sessions, as the key manager sees it over Ak: it is told, is pushed keys, acknowledges them or not.

import { Fault } from "../../../src/core/fault.ts";
import type { AppId, KmId } from "../../../src/core/ids.ts";
import type { Clock } from "../../../src/core/ports.ts";
import type { Grant } from "../../../src/keys/ports/keys.ts";
import type { AppLine, SessionCreation, SessionDoor, SessionId } from "../../../src/keys/ports/sessions.ts";
import { type Asked, asked, type GivenKey, type Manner, readGrant } from "./apps.ts";

export interface Push {
  readonly sessionId: SessionId;
  readonly keys: readonly GivenKey[];
}

export class SessionApp {
  readonly id: AppId;
  readonly #clock: Clock;
  /** What it was told of new sessions, and pushed. */
  readonly offers: SessionCreation[] = [];
  readonly pushes: Push[] = [];
  /** Whether it takes part; undefined: it does not answer. */
  accept: (creation: SessionCreation) => boolean | undefined = () => true;
  /** The IDs that it acknowledges; undefined: it does not answer. */
  acknowledge: (push: Push) => readonly string[] | undefined = ({ keys }) => keys.map(({ id }) => id);
  /** How long it takes to answer. */
  delayMs = 0;
  readonly #leaving: (() => void)[] = [];

  constructor(clock: Clock, id: string) {
    this.#clock = clock;
    this.id = id as AppId;
  }

  get keys(): GivenKey[] {
    return this.pushes.flatMap(({ keys }) => keys);
  }

  /** One more connection; the newest is offered sessions. */
  connect(door: SessionDoor): this {
    const gone = new AbortController();
    const line: AppLine = {
      app: this.id,
      notify: (creation, timeoutMs) => this.#notified(creation, timeoutMs, gone.signal),
      push: (sessionId, grant, timeoutMs) => this.#pushed(sessionId, grant, { timeoutMs, gone: gone.signal }),
    };
    const detach = door.attach(line);
    this.#leaving.push(() => {
      detach();
      gone.abort();
    });
    return this;
  }

  /** The newest connection is lost. */
  disconnect(): void {
    this.#leaving.pop()?.();
  }

  async #notified(creation: SessionCreation, timeoutMs: number, gone: AbortSignal): Promise<void> {
    this.offers.push(creation);
    const accepted = this.accept(creation);
    await this.#wait(accepted === undefined ? timeoutMs : Math.min(this.delayMs, timeoutMs), gone);
    if (gone.aborted || accepted === undefined || this.delayMs >= timeoutMs) throw new Fault("PEER_UNAVAILABLE");
    if (!accepted) throw new Fault("NOT_AUTHORIZED", { text: "the application does not want this session" });
  }

  async #pushed(
    sessionId: SessionId,
    grant: Grant,
    { timeoutMs, gone }: { readonly timeoutMs: number; readonly gone: AbortSignal },
  ): Promise<readonly string[]> {
    const push = { sessionId, keys: readGrant(grant) };
    grant[Symbol.dispose]();
    this.pushes.push(push);
    const acknowledged = this.acknowledge(push);
    await this.#wait(acknowledged === undefined ? timeoutMs : this.delayMs, gone);
    return gone.aborted ? [] : (acknowledged ?? []);
  }

  #wait(ms: number, gone: AbortSignal): Promise<void> {
    if (ms === 0 || gone.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        stopTimer();
        gone.removeEventListener("abort", done);
        resolve();
      };
      const stopTimer = this.#clock.after(ms, done);
      gone.addEventListener("abort", done);
    });
  }
}

/** A session that was asked for, and what became of it. */
export interface Opening {
  sessionId: SessionId | undefined;
  sourceKm: KmId | undefined;
  fault: Fault | undefined;
  answers: number;
  cancel: () => void;
}

export function openSession(door: SessionDoor, from: string, to: string, budget?: number): Opening {
  const made: Opening = {
    sessionId: undefined,
    sourceKm: undefined,
    fault: undefined,
    answers: 0,
    cancel: () => {},
  };
  const request = { app: from as AppId, destination: to as AppId, applicationName: undefined, budget };
  made.cancel = door.createSession(request, {
    opened(sessionId, sourceKm) {
      made.answers++;
      Object.assign(made, { sessionId, sourceKm });
    },
    refused(fault) {
      made.answers++;
      made.fault = fault;
    },
  });
  return made;
}

export interface SessionAsk {
  readonly app: string;
  readonly sessionId: SessionId | undefined;
  readonly count?: number;
  readonly bits?: number;
  readonly manner?: Manner;
}

/** Keys in a session, for its initiator. */
export function askInSession(
  door: SessionDoor,
  { app, sessionId = "", count = 1, bits = 256, manner = "read" }: SessionAsk,
): Asked {
  const request = { app: app as AppId, sessionId, count, sizeBits: bits };
  return asked((answer) => door.sessionKeys(request, answer), manner);
}
