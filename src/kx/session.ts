// A Kx dialogue over one channel (Q.4163 clause 8): our requests and their answers, the peer's requests and ours.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Limit } from "../core/limits.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type {
  ExtensionEntry,
  PeerConnection,
  RelayConfirmation,
  RelayOffer,
  UnprotectedOffer,
} from "../keys/ports/peers.ts";
import type { PeerKeysRequest, SessionCreation } from "../keys/ports/sessions.ts";
import type { Channel } from "../net/channel.ts";
import { type Buffers, type Frame, FrameError, FrameReader, MAX_PAYLOAD_BYTES } from "../wire/frame.ts";
import { parseKeyPayload } from "../wire/key-payload.ts";
import { byCode, codeText } from "../wire/message.ts";
import { encodePayload, parsePayload } from "../wire/payload.ts";
import type { JsonObject } from "../wire/types.ts";
import { type Call, type CallLimit, Calls, type IsLast, MAX_OPEN_CALLS, MAX_SESSION_CALLS } from "./calls.ts";
import { KEEPALIVE, Keepalive, type KeepaliveTimes } from "./keepalive.ts";
import { Outbox } from "./outbox.ts";
import { packEntries } from "./payload/entries.ts";
import { type KeyFrame, keyFrame, plain } from "./payload/key-frame.ts";
import { type KeySupplyNotification, KX, KX_ANSWERS } from "./payload/messages.ts";
import { creationOf, optionsOf, tellOf } from "./payload/notification.ts";
import { Receipts } from "./payload/receipts.ts";
import { confirmationOf, relayOf } from "./payload/relay.ts";
import { checkAnswer, faultOf } from "./payload/response.ts";
import { checkTaken, OpenRequests, unprotectedRelayOf } from "./payload/unprotected-relay.ts";
import { type Dialect, Server, type ServerEvents } from "./server.ts";

const ROWS = byCode(KX);
const DOOR = { door: "kx" } as const;

/** What one dialogue is given: whom requests go to, time, log, counters, buffers. */
export interface SessionPorts {
  readonly events: ServerEvents;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Lends memory for frames that straddle chunks. */
  readonly buffers: Buffers;
}

/** Both ends of the dialogue, the dialect, and its times. */
export interface SessionOptions {
  /** This KM. */
  readonly self: KmId;
  /** The KM that the channel's certificate names. */
  readonly peer: KmId;
  /** Of the peer, by configuration. */
  readonly dialect: Dialect;
  /** Of keys whose size the peer's 0x1103 leaves out. */
  readonly defaultKeyBits: Limit;
  readonly keepalive?: KeepaliveTimes;
  /** The MessageID before the first. */
  readonly lastMessageId?: number;
}

type RequestName = keyof typeof KX_ANSWERS;

/** Reads no clock and does no I/O of its own: over a channel in memory it runs the same. */
export class KxSession implements PeerConnection {
  readonly id: KmId;
  /** Resolves with the reason as soon as no call can be made any more. */
  readonly ended: Promise<string>;
  /** Resolves when the channel is gone too. */
  readonly gone: Promise<void>;
  readonly #channel: Channel;
  readonly #dialect: Dialect;
  readonly #ports: SessionPorts;
  readonly #calls: Calls;
  readonly #outbox: Outbox;
  readonly #reader: FrameReader;
  /** A strict peer may know no sign of life: of its end TCP tells. */
  readonly #keepalive: Keepalive | undefined;
  readonly #server: Server;
  readonly #unprotectedRelays = new OpenRequests();
  /** MessageIDs of the peer's requests that have no answer yet. */
  readonly #served = new Set<number>();
  readonly #resolveEnded: (reason: string) => void;
  readonly #resolveGone: () => void;
  #endedBecause: string | undefined;

  /** Begins to read; the first request of the peer is told in a later turn of the event loop. */
  constructor(channel: Channel, options: SessionOptions, ports: SessionPorts) {
    this.id = options.peer;
    this.#channel = channel;
    this.#dialect = options.dialect;
    this.#ports = ports;
    this.#calls = new Calls(ports.clock, options.lastMessageId);
    this.#outbox = new Outbox(channel, ports.clock, (err) => {
      ports.log.warn({ peer: this.id, err }, "nothing more can be written on this Kx connection");
      this.close("the connection takes no more");
    });
    this.#reader = new FrameReader(ports.buffers);
    this.#server = new Server(this, options, ports);
    ({ promise: this.ended, resolve: this.#resolveEnded } = Promise.withResolvers<string>());
    ({ promise: this.gone, resolve: this.#resolveGone } = Promise.withResolvers<void>());
    this.#keepalive = options.dialect === "strict" ? undefined : this.#keptAlive(options.keepalive ?? KEEPALIVE);
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => this.#outbox.flush(),
      closed: (reason) => this.#closed(reason),
    });
  }

  #keptAlive(times: KeepaliveTimes): Keepalive {
    return new Keepalive(this.#ports.clock, times, {
      probe: () => this.#probe(times.timeoutMs),
      silent: () => this.close("the peer is silent"),
    });
  }

  async relay(offer: RelayOffer, timeoutMs: number): Promise<RelayConfirmation> {
    this.#checkDialect("extended");
    const { answered } = this.#ask("keyRelay", relayOf(offer), relayLimit(timeoutMs));
    return confirmationOf(offer, await answered);
  }

  async relayUnprotected(offer: UnprotectedOffer, timeoutMs: number): Promise<void> {
    this.#checkDialect("strict");
    const { requestId } = offer;
    const { messageId, answered } = this.#ask("keyRelay", unprotectedRelayOf(offer), relayLimit(timeoutMs));
    this.#unprotectedRelays.add(requestId, messageId);
    try {
      checkTaken(await answered);
    } finally {
      this.#unprotectedRelays.remove(requestId, messageId);
    }
  }

  /** @throws Fault PROTECTION_REFUSED: how a key is protected is never left to chance */
  #checkDialect(needed: Dialect): void {
    if (this.#dialect === needed) return;
    throw new Fault("PROTECTION_REFUSED", { text: `the dialect of ${this.id} is ${this.#dialect}, not ${needed}` });
  }

  /**
   * Entries for which one frame is too small go in several, each sent when the last was answered.
   * @throws also RangeError when a single entry fits no frame
   */
  async tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void> {
    const lists = packEntries(entries);
    for (const list of lists.length === 0 ? [[]] : lists) await this.#notify(tellOf(list), { timeoutMs });
  }

  async createSession(creation: SessionCreation, timeoutMs: number): Promise<void> {
    await this.#notify(creationOf(creation), { timeoutMs, most: MAX_SESSION_CALLS });
  }

  async notifySession(keysRequest: PeerKeysRequest, timeoutMs: number): Promise<readonly string[]> {
    const receipts = new Receipts(keysRequest, () => this.#ports.meter.add("answers_dropped", DOOR));
    const limit = { timeoutMs, most: MAX_SESSION_CALLS };
    await this.#askNotification(optionsOf(keysRequest), limit, (answer) => receipts.take(answer));
    return receipts.keyIds;
  }

  async #notify(payload: KeySupplyNotification, limit: Omit<CallLimit, "late">): Promise<void> {
    const answer = await this.#askNotification(payload, limit);
    const fault = faultOf(checkAnswer(KX.keySupplyNotificationResponse, answer).response);
    if (fault !== undefined) throw fault;
  }

  #askNotification(payload: KeySupplyNotification, limit: Omit<CallLimit, "late">, isLast?: IsLast): Promise<object> {
    const late = new Fault("PEER_UNAVAILABLE", { text: `${this.id} does not answer in time` });
    return this.#ask("keySupplyNotification", json(payload), { ...limit, late }, isLast).answered;
  }

  /** Why it has ended; `undefined` while it lives. */
  get endedBecause(): string | undefined {
    return this.#endedBecause;
  }

  close(reason: string): void {
    if (this.#endedBecause !== undefined) return;
    this.#end(reason);
    this.#channel.close(reason);
  }

  #closed(reason: string): void {
    this.#end(reason);
    this.#resolveGone();
  }

  #end(reason: string): void {
    if (this.#endedBecause !== undefined) return;
    this.#endedBecause = reason;
    this.#keepalive?.stop();
    this.#outbox.close();
    this.#reader.dispose();
    this.#calls.failAll(this.#unavailable(reason));
    this.#resolveEnded(reason);
  }

  #unavailable(reason: string): Fault {
    return new Fault("PEER_UNAVAILABLE", { text: `the Kx connection with ${this.id} has ended: ${reason}` });
  }

  // Our requests.

  /** A request that is given up before it left never leaves. @throws Fault, RangeError */
  #ask(name: RequestName, payload: KeyFrame, limit: CallLimit, isLast?: IsLast): Call {
    if (this.#endedBecause !== undefined) throw this.#unavailable(this.#endedBecause);
    const { length } = payload;
    if (length > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${length} bytes fits no frame`);
    const { messageId, answered } = this.#calls.open(KX[KX_ANSWERS[name]].code, limit, isLast);
    const frame = keyFrame(KX[name].code, messageId, payload);
    if (!this.#outbox.put(frame, "request")) this.#calls.fail(messageId, new Fault("BUSY"));
    return { messageId, answered: answered.finally(() => this.#outbox.drop(frame)) };
  }

  /** A tell of nothing, even when no other request may be opened. */
  #probe(timeoutMs: number): void {
    const limit = { timeoutMs, late: new Fault("PEER_UNAVAILABLE"), most: MAX_OPEN_CALLS + 1 };
    // What matters is whether anything arrives, and that the keepalive sees.
    this.#ask("keySupplyNotification", json(tellOf([])), limit).answered.catch(() => {});
  }

  // The peer's frames.

  #received(chunk: Uint8Array): void {
    this.#keepalive?.heard();
    try {
      this.#reader.push(chunk, (frame) => this.#frame(frame));
    } catch (thrown) {
      this.#refuse(thrown);
    } finally {
      if (this.#endedBecause !== undefined) this.#reader.dispose();
    }
  }

  #refuse(thrown: unknown): void {
    const { log, meter } = this.#ports;
    if (!(thrown instanceof FrameError)) {
      log.error({ peer: this.id, err: thrown }, "a defect while a Kx frame was read");
      this.close("an internal error");
      return;
    }
    const { reason, message } = thrown;
    meter.add("frames_refused", { ...DOOR, reason });
    log.warn({ peer: this.id, certificate: this.#channel.certificate, reason, message }, "a Kx frame is refused");
    this.close(`a frame was refused: ${message}`);
  }

  #frame({ code, messageId, payload }: Frame): void {
    if (this.#endedBecause !== undefined) return;
    const row = ROWS.get(code);
    if (row === undefined) throw new FrameError("unknown_code", `${codeText(code)} is no message of Kx`);
    if (row === KX.keyRelay) this.#relayArrived(messageId, payload);
    else this.#jsonArrived(messageId, code, parsePayload(payload) as JsonObject);
  }

  #relayArrived(messageId: number, payload: Uint8Array): void {
    const { json, keys } = parseKeyPayload(payload);
    const relay = { json: json as JsonObject, letters: keys };
    this.#serve(messageId, "keyRelay", (waiting) => this.#server.keyRelay(relay, waiting));
  }

  #jsonArrived(messageId: number, code: number, json: JsonObject): void {
    if (code === KX.keySupplyNotification.code) {
      this.#serve(messageId, "keySupplyNotification", (waiting) => this.#server.keySupplyNotification(json, waiting));
      return;
    }
    const isWhole = this.#dialect === "strict" && code === KX.keyRelayCompletion.code;
    const asked = isWhole ? this.#unprotectedRelays.answered(messageId, json) : messageId;
    if (asked !== undefined && this.#calls.answer(asked, code, json)) return;
    this.#ports.meter.add("answers_dropped", DOOR);
  }

  /** @throws FrameError message_id when an unanswered request of the peer has this number */
  #serve(messageId: number, name: RequestName, work: (waiting: number) => Promise<readonly object[]>): void {
    if (this.#served.has(messageId)) throw new FrameError("message_id", `${messageId} is an open request's`);
    this.#served.add(messageId);
    void this.#answer(messageId, name, work(this.#served.size));
  }

  async #answer(messageId: number, name: RequestName, answers: Promise<readonly object[]>): Promise<void> {
    const payloads = (await answers).map(json);
    this.#served.delete(messageId);
    for (const payload of payloads) {
      if (this.#endedBecause !== undefined) return;
      const frame = keyFrame(KX[KX_ANSWERS[name]].code, messageId, payload);
      if (!this.#outbox.put(frame, "answer")) this.close("the peer does not take its answers");
    }
  }
}

const json = (payload: object): KeyFrame => plain(encodePayload(payload));

const relayLimit = (timeoutMs: number): CallLimit => ({ timeoutMs, late: new Fault("RELAY_TIMEOUT") });
