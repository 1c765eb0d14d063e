// What a KM asks of an application, 0x1206 and 0x120A: each until it is answered, late or given up (Q.4161 8.2).

import { Fault } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { AppLine, SessionCreation, SessionId } from "../keys/ports/sessions.ts";
import { encodeFrame, MAX_FRAME_BYTES } from "../wire/frame.ts";
import { MessageIds } from "../wire/message-ids.ts";
import { encodePayload } from "../wire/payload.ts";
import { frameBytes, type ReadyKeys } from "./answer.ts";
import { AK } from "./messages.ts";
import { Notice, notification } from "./notice.ts";
import type { Outbox } from "./outbox.ts";
import { idsOf, Push } from "./push.ts";

/** Unanswered requests of ours that one connection may have; one more is not sent. */
export const MAX_ASKED = 128;

/** A request of ours that has no whole answer yet. */
export interface Asked {
  /** Whether the answer says something new, and whether it was the last. Malformed ones say nothing new. */
  heard(code: number, json: object): "nothing" | "more" | "all";
  /** It is late, or the connection is gone. */
  end(fault: Fault): void;
}

interface Open {
  readonly asked: Asked;
  readonly stopTimer: () => void;
}

/** What one application's line is given: time, log, and where its frames go. */
export interface LinePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
}

/** One connection's own MessageIDs; an ID whose request was given up comes again only when the numbers have wrapped. */
export class ConnectionLine implements AppLine {
  readonly app: AppId;
  readonly #outbox: Outbox;
  readonly #ports: LinePorts;
  readonly #open = new Map<number, Open>();
  readonly #ids: MessageIds;
  #closed = false;

  /** @param lastId the MessageID before the first */
  constructor(app: AppId, outbox: Outbox, ports: LinePorts, lastId = 0) {
    this.app = app;
    this.#outbox = outbox;
    this.#ports = ports;
    this.#ids = new MessageIds(this.#open, lastId);
  }

  async notify(creation: SessionCreation, timeoutMs: number): Promise<void> {
    if (this.#closed) throw gone();
    if (this.#open.size >= MAX_ASKED) throw new Fault("BUSY", { text: `${this.app} has too much to answer` });
    const notice = new Notice(creation.sessionId);
    const frame = encodeFrame(AK.sessionNotification.code, this.#ids.next(), encodePayload(notification(creation)));
    this.#ask(notice, timeoutMs, () => this.#outbox.withdraw(frame));
    this.#outbox.put(frame);
    return notice.answered;
  }

  async push(sessionId: SessionId, grant: Grant, timeoutMs: number): Promise<readonly string[]> {
    const keys = { code: AK.proactiveSupply.code, sessionId, grant };
    if (this.#closed || this.#open.size >= MAX_ASKED || grant.count === 0 || frameBytes(keys) > MAX_FRAME_BYTES) {
      grant[Symbol.dispose]();
      return [];
    }
    const push = new Push(sessionId, idsOf(grant), ({ message }) => {
      const fields = { door: "ak", app: this.app, session: sessionId };
      this.#ports.log.warn(fields, `a 0x210B is not as Q.4161 Table 11 has it: ${message}`);
    });
    const ready: ReadyKeys = { ...keys, messageId: this.#ids.next() };
    this.#ask(push, timeoutMs, () => this.#outbox.withdraw(ready));
    this.#outbox.put(ready);
    return push.acknowledged;
  }

  /** An answer of the application; one that nobody waits for, or that says nothing new, is dropped and counted. */
  heard(messageId: number, code: number, json: object): void {
    const open = this.#open.get(messageId);
    const heard = open?.asked.heard(code, json) ?? "nothing";
    if (heard === "nothing") this.#ports.meter.add("answers_dropped", { door: "ak" });
    if (heard === "all") this.#forget(messageId);
  }

  /** The connection is gone. */
  close(): void {
    this.#closed = true;
    for (const [messageId, { asked }] of this.#open) {
      this.#forget(messageId);
      asked.end(gone());
    }
  }

  /** Under the last MessageID. */
  #ask(asked: Asked, timeoutMs: number, withdraw: () => void): void {
    const messageId = this.#ids.last;
    const stopTimer = this.#ports.clock.after(timeoutMs, () => {
      this.#open.delete(messageId);
      withdraw();
      asked.end(new Fault("PEER_UNAVAILABLE", { text: `${this.app} does not answer in time` }));
    });
    this.#open.set(messageId, { asked, stopTimer });
  }

  #forget(messageId: number): void {
    this.#open.get(messageId)?.stopTimer();
    this.#open.delete(messageId);
  }
}

const gone = (): Fault => new Fault("PEER_UNAVAILABLE", { text: "the application's connection has ended" });
