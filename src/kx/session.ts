// A Kx dialogue over one channel (Q.4163 clause 8): our requests and their answers, the peer's requests and ours.

import { Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type {
  ExtensionEntry,
  Peer,
  RelayConfirmation,
  RelayOffer,
  SessionCreation,
  SessionWish,
  WholeOffer,
} from "../keys/ports.ts";
import type { Channel } from "../net/channel.ts";
import { type Buffers, encodeFrame, type Frame, FrameError, FrameReader, MAX_PAYLOAD_BYTES } from "../wire/frame.ts";
import { byCode, codeText } from "../wire/message.ts";
import { encodePayload, parsePayload } from "../wire/payload.ts";
import type { JsonObject } from "../wire/types.ts";
import { type CallLimit, Calls, type IsLast, MAX_OPEN_CALLS } from "./calls.ts";
import { concealKeys } from "./conceal.ts";
import { packEntries } from "./entries.ts";
import { KEEPALIVE, Keepalive, type KeepaliveTimes } from "./keepalive.ts";
import { type KeySupplyNotification, KX, KX_ANSWERS } from "./messages.ts";
import { creationOf, tellOf, wishOf } from "./notification.ts";
import { Outbox } from "./outbox.ts";
import { Receipts } from "./receipts.ts";
import { confirmationOf, relayOf } from "./relay.ts";
import { checkAnswer, faultOf } from "./response.ts";
import { Server, type ServerEvents } from "./server.ts";

const ROWS = byCode(KX);
const DOOR = { door: "kx" } as const;

export interface SessionPorts {
  readonly events: ServerEvents;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Lends memory for frames that straddle chunks. */
  readonly buffers: Buffers;
}

export interface SessionOptions {
  /** This KM. */
  readonly self: KmId;
  /** The KM that the channel's certificate names. */
  readonly peer: KmId;
  /** Of keys whose size the peer's 0x1103 leaves out. */
  readonly defaultKeyBits: number;
  readonly keepalive?: KeepaliveTimes;
  /** The MessageID before the first. */
  readonly lastMessageId?: number;
}

type RequestName = keyof typeof KX_ANSWERS;

/** Reads no clock and does no I/O of its own: over a channel in memory it runs the same. */
export class KxSession implements Peer {
  readonly id: KmId;
  /** Resolves with the reason as soon as no call can be made any more. */
  readonly ended: Promise<string>;
  /** Resolves when the channel is gone too. */
  readonly gone: Promise<void>;
  readonly #channel: Channel;
  readonly #ports: SessionPorts;
  readonly #calls: Calls;
  readonly #outbox: Outbox;
  readonly #reader: FrameReader;
  readonly #keepalive: Keepalive;
  readonly #server: Server;
  /** MessageIDs of the peer's requests that have no answer yet. */
  readonly #served = new Set<number>();
  readonly #resolveEnded: (reason: string) => void;
  readonly #resolveGone: () => void;
  #endedBecause: string | undefined;

  /** Begins to read; the first request of the peer is told in a later turn of the event loop. */
  constructor(channel: Channel, options: SessionOptions, ports: SessionPorts) {
    this.id = options.peer;
    this.#channel = channel;
    this.#ports = ports;
    this.#calls = new Calls(ports.clock, options.lastMessageId);
    this.#outbox = new Outbox(channel, ports.clock, () => this.close("the connection takes no more"));
    this.#reader = new FrameReader(ports.buffers);
    this.#server = new Server(this, options, ports);
    ({ promise: this.ended, resolve: this.#resolveEnded } = Promise.withResolvers<string>());
    ({ promise: this.gone, resolve: this.#resolveGone } = Promise.withResolvers<void>());
    const times = options.keepalive ?? KEEPALIVE;
    this.#keepalive = new Keepalive(ports.clock, times, {
      probe: () => this.#probe(times.timeoutMs),
      silent: () => this.close("the peer is silent"),
    });
    channel.start({
      received: (chunk) => this.#received(chunk),
      drained: () => this.#outbox.flush(),
      closed: (reason) => this.#closed(reason),
    });
  }

  async relay(offer: RelayOffer, timeoutMs: number): Promise<RelayConfirmation> {
    const answer = await this.#ask("keyRelay", relayOf(offer), { timeoutMs, late: new Fault("RELAY_TIMEOUT") });
    return confirmationOf(offer, answer);
  }

  /**
   * Entries for which one frame is too small go in several, each sent when the last was answered.
   * @throws also RangeError when a single entry fits no frame
   */
  async tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void> {
    const lists = packEntries(entries);
    for (const list of lists.length === 0 ? [[]] : lists) await this.#tell(list, timeoutMs);
  }

  async #tell(entries: readonly ExtensionEntry[], timeoutMs: number): Promise<void> {
    await this.#notify(tellOf(entries), timeoutMs);
  }

  async createSession(creation: SessionCreation, timeoutMs: number): Promise<void> {
    await this.#notify(creationOf(creation), timeoutMs);
  }

  async notifySession(wish: SessionWish, timeoutMs: number): Promise<readonly string[]> {
    const receipts = new Receipts(wish, () => this.#ports.meter.add("answers_dropped", DOOR));
    const isLast: IsLast = (answer) => receipts.take(answer);
    await this.#ask("keySupplyNotification", wishOf(wish), { timeoutMs, late: this.#late() }, isLast);
    return receipts.keyIds;
  }

  async relayWhole(_offer: WholeOffer, _timeoutMs: number): Promise<void> {
    throw new Fault("PROTECTION_REFUSED", { text: `${this.id} is not configured as strict` });
  }

  async #notify(payload: KeySupplyNotification, timeoutMs: number): Promise<void> {
    const answer = await this.#ask("keySupplyNotification", payload, { timeoutMs, late: this.#late() });
    const fault = faultOf(checkAnswer(KX.keySupplyNotificationResponse, answer).response);
    if (fault !== undefined) throw fault;
  }

  #late(): Fault {
    return new Fault("PEER_UNAVAILABLE", { text: `${this.id} does not answer in time` });
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
    this.#keepalive.stop();
    this.#outbox.close();
    this.#reader.dispose();
    this.#calls.failAll(this.#unavailable(reason));
    this.#resolveEnded(reason);
  }

  #unavailable(reason: string): Fault {
    return new Fault("PEER_UNAVAILABLE", { text: `the Kx connection with ${this.id} has ended: ${reason}` });
  }

  // Our requests.

  async #ask(name: RequestName, payload: object, limit: CallLimit, isLast?: IsLast): Promise<object> {
    if (this.#endedBecause !== undefined) throw this.#unavailable(this.#endedBecause);
    const bytes = encodePayload(payload);
    if (bytes.length > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${bytes.length} bytes fits no frame`);
    const call = this.#calls.open(KX[KX_ANSWERS[name]].code, limit, isLast);
    const frame = encodeFrame(KX[name].code, call.messageId, bytes);
    if (!this.#outbox.put(frame, "request")) this.#calls.fail(call.messageId, new Fault("BUSY"));
    return call.answered;
  }

  /** A tell of nothing, even when no other request may be opened. */
  #probe(timeoutMs: number): void {
    const limit = { timeoutMs, late: new Fault("PEER_UNAVAILABLE"), most: MAX_OPEN_CALLS + 1 };
    // What matters is whether anything arrives, and that the keepalive sees.
    this.#ask("keySupplyNotification", tellOf([]), limit).catch(() => {});
  }

  // The peer's frames.

  #received(chunk: Uint8Array): void {
    this.#keepalive.heard();
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
    if (row === KX.keyRelay) concealKeys(payload);
    const json = parsePayload(payload) as JsonObject;
    if (row === KX.keyRelay) this.#serve(messageId, "keyRelay", json);
    else if (row === KX.keySupplyNotification) this.#serve(messageId, "keySupplyNotification", json);
    else if (!this.#calls.answer(messageId, code, json)) this.#ports.meter.add("answers_dropped", DOOR);
  }

  /** @throws FrameError message_id when an unanswered request of the peer has this number */
  #serve(messageId: number, name: RequestName, json: JsonObject): void {
    if (this.#served.has(messageId)) throw new FrameError("message_id", `${messageId} is an open request's`);
    this.#served.add(messageId);
    void this.#answer(messageId, name, this.#server[name](json, this.#served.size));
  }

  async #answer(messageId: number, name: RequestName, answers: Promise<readonly object[]>): Promise<void> {
    const payloads = (await answers).map(encodePayload);
    this.#served.delete(messageId);
    for (const payload of payloads) {
      if (this.#endedBecause !== undefined) return;
      const frame = encodeFrame(KX[KX_ANSWERS[name]].code, messageId, payload);
      if (!this.#outbox.put(frame, "answer")) this.close("the peer does not take its answers");
    }
  }
}
