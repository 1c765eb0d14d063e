// The peer's requests: from their payload over the key manager to the payload of the answer.

import { asFault, Fault, SUCCESS } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import { type Limit, limitNow } from "../core/limits.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { PeerConnection, PeerEvents } from "../keys/ports/peers.ts";
import { check } from "../wire/message.ts";
import type { JsonObject } from "../wire/types.ts";
import { MAX_OPEN_CALLS } from "./calls.ts";
import { type KeyRelayCompletion, type KeySupplyNotificationResponse, KX } from "./payload/messages.ts";
import { answerableSession, type Notification, notificationOf, receipts } from "./payload/notification.ts";
import { completionOf, failureOf, offerOf } from "./payload/relay.ts";
import { responseOf } from "./payload/response.ts";
import { answerableId, refused, taken } from "./payload/route.ts";
import { arrivalOf } from "./payload/unprotected-relay.ts";

/** What a peer's requests ask of the key manager. */
export type ServerEvents = Omit<PeerEvents, "connected" | "disconnected">;

interface ServerPorts {
  readonly events: ServerEvents;
  readonly log: Log;
  readonly meter: Meter;
}

/** How a peer is spoken to: with this project's extensions, or in the standard's tables alone. */
export type Dialect = "extended" | "strict";

/** Both ends of the dialogue, the dialect, and the size of a key that is not named. */
export interface ServerOptions {
  /** This KM. */
  readonly self: KmId;
  /** Of the peer, by configuration. */
  readonly dialect: Dialect;
  /** Of keys whose size a 0x1103 leaves out. */
  readonly defaultKeyBits: Limit;
}

/** A 0x1101 as it came: `key` of each entry is empty in `json`, and its letters are lent until the server returns. */
export interface RelayRequest {
  readonly json: JsonObject;
  readonly letters: readonly Uint8Array[];
}

/** Calls the key manager before it returns, so in the order of arrival; every promise resolves with the answers. */
export class Server {
  readonly #peer: PeerConnection;
  readonly #options: ServerOptions;
  readonly #ports: ServerPorts;

  constructor(peer: PeerConnection, options: ServerOptions, ports: ServerPorts) {
    this.#peer = peer;
    this.#options = options;
    this.#ports = ports;
  }

  /** 0x1101 to 0x1102. @param waiting requests of the peer without an answer, this one among them */
  keyRelay(relay: RelayRequest, waiting: number): Promise<readonly KeyRelayCompletion[]> {
    return this.#options.dialect === "strict"
      ? this.#unprotectedRelay(relay, waiting)
      : this.#protectedRelay(relay, waiting);
  }

  async #protectedRelay({ json, letters }: RelayRequest, waiting: number): Promise<readonly KeyRelayCompletion[]> {
    const requestId = answerableId(json);
    try {
      const offer = this.#checked(waiting, () => offerOf(check(KX.keyRelay, json), letters));
      return [completionOf(requestId, await this.#ports.events.relayed(this.#peer, offer))];
    } catch (thrown) {
      return [failureOf(requestId, this.#faultOf(thrown), this.#options.self)];
    }
  }

  async #unprotectedRelay({ json, letters }: RelayRequest, waiting: number): Promise<readonly KeyRelayCompletion[]> {
    const requestId = answerableId(json);
    try {
      const arrival = this.#checked(waiting, () => arrivalOf(check(KX.keyRelay, json), letters));
      try {
        await this.#ports.events.relayedUnprotected(this.#peer, arrival);
      } finally {
        for (const key of arrival.keys) key.letters.fill(0);
      }
      return [taken(requestId)];
    } catch (thrown) {
      return [refused(requestId, this.#faultOf(thrown))];
    }
  }

  /** 0x1103 to 0x1104. One that tells nothing only asks whether we live. */
  async keySupplyNotification(json: JsonObject, waiting: number): Promise<readonly KeySupplyNotificationResponse[]> {
    const answer = { session_ID: answerableSession(json), key_ID: "", response: SUCCESS };
    try {
      const notification = notificationOf(json, limitNow(this.#options.defaultKeyBits));
      if (notification.kind === "tell" && notification.entries.length === 0) return [answer];
      checkLoad(waiting);
      return (await this.#notified(notification)) ?? [answer];
    } catch (thrown) {
      return [{ ...answer, response: responseOf(this.#faultOf(thrown)) }];
    }
  }

  async #notified(notification: Notification): Promise<readonly KeySupplyNotificationResponse[] | undefined> {
    const { events } = this.#ports;
    if (notification.kind === "tell") return void (await events.told(this.#peer, notification.entries));
    if (notification.kind === "creation") return void (await events.sessionCreated(this.#peer, notification.creation));
    return receipts(notification.keysRequest, await events.sessionNotified(this.#peer, notification.keysRequest));
  }

  /** Counts what is refused here; the key manager counts what it refuses. */
  #checked<T>(waiting: number, read: () => T): T {
    try {
      checkLoad(waiting);
      return read();
    } catch (thrown) {
      const { id: peer } = this.#peer;
      this.#ports.meter.add("relays_refused", { peer, direction: "in", fault: asFault(thrown).code });
      throw thrown;
    }
  }

  #faultOf(thrown: unknown): Fault {
    if (!(thrown instanceof Fault)) this.#ports.log.error({ peer: this.#peer.id, err: thrown }, "a defect behind Kx");
    return asFault(thrown);
  }
}

function checkLoad(waiting: number): void {
  if (waiting > MAX_OPEN_CALLS) throw new Fault("BUSY");
}
