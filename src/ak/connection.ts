// An Ak connection of one application: its requests in, their answers out, and our requests of it (Q.4161 clause 7).

import { asFault, Fault } from "../core/fault.ts";
import { type AppId, appId, type KmId } from "../core/ids.ts";
import type { Answer, FetchRequest, Grant, KeyDoor, SupplyRequest } from "../keys/ports/keys.ts";
import type { SessionAnswer, SessionDoor, SessionId } from "../keys/ports/sessions.ts";
import type { Channel, ChannelHandler } from "../net/channel.ts";
import { type Buffers, type Frame, FrameError, FrameReader } from "../wire/frame.ts";
import { byCode, check, codeText } from "../wire/message.ts";
import { parsePayload } from "../wire/payload.ts";
import type { SupplyRing } from "../wire/ring.ts";
import { type Occasion, openedFrame, refusalFrame } from "./answer.ts";
import { ConnectionLine, type LinePorts } from "./app-line.ts";
import { AK } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { Remembered, RememberedFetch } from "./remembered.ts";
import { answerableSession, fetchRequest, sessionKeysRequest, sessionRequest, supplyRequest } from "./request.ts";

/** Requests of one connection that may wait for their answers; one more is refused as BUSY. */
export const MAX_OUTSTANDING = 128;

const DOOR = { door: "ak" } as const;
const NOTHING = (): void => {};
const ROWS = byCode<(typeof AK)[keyof typeof AK]>(AK);
/** Codes whose first byte this is go from applications to their KM. */
const FROM_APP = 0x21;

/** What the Ak connections of one KM share: the key manager's doors, memory for answers, time, log and counters. */
export interface ConnectionPorts extends LinePorts {
  readonly door: KeyDoor;
  readonly sessions: SessionDoor;
  readonly ring: SupplyRing;
  /** Lends memory for frames that straddle chunks. */
  readonly buffers: Buffers;
}

/** A request until it is answered; the key manager answers it. */
class Request implements Answer, SessionAnswer, Occasion {
  readonly code: number;
  readonly messageId: number;
  /** Of a request in a session. */
  sessionId = "";
  /** Tells the key manager that nobody waits any more. */
  giveUp: () => void = NOTHING;
  readonly #connection: AkConnection;

  constructor(connection: AkConnection, { code, messageId }: Frame) {
    this.#connection = connection;
    this.code = code;
    this.messageId = messageId;
  }

  granted(grant: Grant): void {
    this.#connection.answer(this, grant);
  }

  opened(sessionId: SessionId, sourceKm: KmId): void {
    this.#connection.opened(this, sessionId, sourceKm);
  }

  refused(fault: Fault): void {
    this.#connection.answer(this, fault);
  }
}

/** Handles a channel from its start to its end. */
export class AkConnection implements ChannelHandler {
  readonly #app: AppId;
  readonly #channel: Channel;
  readonly #ports: ConnectionPorts;
  readonly #reader: FrameReader;
  readonly #supplies = new Remembered((payload) => this.#supplyRequest(payload));
  readonly #fetches = new RememberedFetch((payload) => this.#fetchRequest(payload));
  readonly #outbox: Outbox;
  readonly #line: ConnectionLine;
  readonly #detach: () => void;
  /** Requests that wait for their answers: few, and mostly the last one is answered next. */
  readonly #open: Request[] = [];
  #ended = false;
  #namedOther = false;

  constructor(channel: Channel, ports: ConnectionPorts) {
    this.#app = appId(channel.id);
    this.#channel = channel;
    this.#ports = ports;
    this.#reader = new FrameReader(ports.buffers);
    this.#outbox = new Outbox(channel, ports.ring);
    this.#line = new ConnectionLine(this.#app, this.#outbox, ports);
    channel.start(this);
    this.#detach = ports.sessions.attach(this.#line);
  }

  received(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#outbox.batch(() => this.#reader.push(chunk, this.#handle));
    } catch (thrown) {
      this.#refuseFrame(thrown);
    }
  }

  drained(): void {
    this.#outbox.drained();
  }

  closed(reason: string): void {
    this.#end();
    this.#ports.log.info({ event: "connection_closed", ...DOOR, app: this.#app, reason }, "connection closed");
  }

  /** Answers a request; a second answer, or one after the end, finds nobody. */
  answer(request: Request, answer: Grant | Fault): void {
    const waits = this.#settle(request);
    if (answer instanceof Fault) {
      if (waits) this.#refuse(request, answer);
    } else if (waits) {
      const { code, messageId, sessionId } = request;
      this.#outbox.put({ code, messageId, sessionId, grant: answer });
    } else {
      answer[Symbol.dispose]();
    }
  }

  /** Answers a 0x2104. */
  opened(request: Request, sessionId: SessionId, sourceKm: KmId): void {
    if (this.#settle(request)) this.#outbox.put(openedFrame(request.messageId, sessionId, sourceKm));
  }

  /** Whether the request waits; from now on it does not. */
  #settle(request: Request): boolean {
    const at = this.#open.lastIndexOf(request);
    if (at < 0) return false;
    if (at === this.#open.length - 1) this.#open.pop();
    else this.#open.splice(at, 1);
    return true;
  }

  readonly #handle = (frame: Frame): void => {
    const { code, messageId, payload } = frame;
    const row = ROWS.get(code);
    if (row === undefined) throw new FrameError("unknown_code", `${codeText(code)} is no message of Ak`);
    if (code >>> 8 !== FROM_APP) throw new FrameError("direction", `${codeText(code)} is for applications to receive`);
    if (row === AK.sessionNotificationResponse || row === AK.proactiveSupplyResponse) {
      this.#line.heard(messageId, code, parsePayload(payload));
      return;
    }
    for (const open of this.#open) {
      if (open.messageId === messageId) throw new FrameError("message_id", `request ${messageId} has no answer yet`);
    }
    const request = new Request(this, frame);
    this.#open.push(request);
    try {
      this.#begin(request, payload);
    } catch (thrown) {
      if (thrown instanceof FrameError) throw thrown;
      this.answer(request, asFault(thrown));
    }
  };

  /** @throws FrameError, Fault */
  #begin(request: Request, payload: Uint8Array): void {
    const { door, sessions } = this.#ports;
    if (request.code === AK.keyRequest.code) {
      const asked = this.#supplies.of(payload);
      this.#checkRoom();
      request.giveUp = door.supply(asked, request);
    } else if (request.code === AK.keyRequestWithId.code) {
      const asked = this.#fetches.of(payload);
      this.#checkRoom();
      request.giveUp = door.fetch(asked, request);
    } else if (request.code === AK.sessionCreation.code) {
      const message = check(AK.sessionCreation, parsePayload(payload));
      this.#checkRoom();
      const asked = sessionRequest(this.#app, message);
      this.#note("application_source_ID", message.application_source_ID);
      request.giveUp = sessions.createSession(asked, request);
    } else {
      const message = check(AK.sessionKeyRequest, parsePayload(payload));
      this.#checkRoom();
      request.sessionId = answerableSession(message);
      request.giveUp = sessions.sessionKeys(sessionKeysRequest(this.#app, message, door.sizes), request);
    }
  }

  /** @throws Fault BUSY */
  #checkRoom(): void {
    if (this.#open.length + this.#outbox.waiting > MAX_OUTSTANDING) throw new Fault("BUSY");
  }

  /** @throws FrameError, Fault */
  #supplyRequest(payload: Uint8Array): SupplyRequest {
    const message = check(AK.keyRequest, parsePayload(payload));
    const asked = supplyRequest(this.#app, message, this.#ports.door.sizes);
    this.#note("application_source_ID", message.application_source_ID);
    return asked;
  }

  /** @throws FrameError, Fault */
  #fetchRequest(payload: Uint8Array): FetchRequest {
    const message = check(AK.keyRequestWithId, parsePayload(payload));
    const asked = fetchRequest(this.#app, message);
    this.#note("application_destination_ID", message.application_destination_ID);
    return asked;
  }

  /** A name in the message that is not the certificate's changes nothing; it is logged once. */
  #note(parameter: string, id: string | undefined): void {
    if (id === undefined || id === this.#app || this.#namedOther) return;
    this.#namedOther = true;
    this.#ports.log.warn(
      { ...DOOR, app: this.#app, [parameter]: id },
      `${parameter} is not the certificate's: ignored`,
    );
  }

  #refuse(request: Request, fault: Fault): void {
    const { log, meter } = this.#ports;
    meter.add("requests_refused", { ...DOOR, fault: fault.code });
    if (fault.code === "INTERNAL") log.error({ ...DOOR, app: this.#app, err: fault.cause }, "a request failed");
    this.#outbox.put(refusalFrame(request, fault));
  }

  #refuseFrame(thrown: unknown): void {
    const { log, meter } = this.#ports;
    const fields = { ...DOOR, app: this.#app, certificate: this.#channel.certificate };
    this.#end();
    if (!(thrown instanceof FrameError)) {
      log.error({ ...fields, err: thrown }, "a defect while a frame was handled");
      this.#channel.close("an internal error");
      return;
    }
    const { reason, message } = thrown;
    meter.add("frames_refused", { ...DOOR, reason });
    log.warn({ ...fields, reason }, `a frame is refused: ${message}`);
    this.#channel.close(`a frame was refused: ${message}`);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#detach();
    for (const request of this.#open.splice(0)) request.giveUp();
    this.#outbox.close();
    this.#line.close();
    this.#reader.dispose();
  }
}
