// The peer's requests: from their payload over the key manager to the payload of the answer.

import { asFault, Fault } from "../core/fault.ts";
import type { KmId } from "../core/ids.ts";
import type { Log, Meter } from "../core/ports.ts";
import type { ExtensionEntry, Peer, PeerEvents, RelayOffer } from "../keys/ports.ts";
import { check } from "../wire/message.ts";
import type { JsonObject } from "../wire/types.ts";
import { MAX_OPEN_CALLS } from "./calls.ts";
import { entriesOf } from "./entries.ts";
import { type KeyRelayCompletion, type KeySupplyNotificationResponse, KX } from "./messages.ts";
import { answerableId, completionOf, failureOf, offerOf } from "./relay.ts";
import { responseOf, SUCCESS } from "./response.ts";

/** What of a session ID that is not ours is said back. */
const MAX_SESSION_ID = 256;

interface ServerPorts {
  readonly events: Pick<PeerEvents, "relayed" | "told">;
  readonly log: Log;
  readonly meter: Meter;
}

/** Calls the key manager before it returns, so in the order of arrival; every promise resolves with an answer. */
export class Server {
  readonly #peer: Peer;
  readonly #self: KmId;
  readonly #ports: ServerPorts;

  constructor(peer: Peer, self: KmId, ports: ServerPorts) {
    this.#peer = peer;
    this.#self = self;
    this.#ports = ports;
  }

  /** 0x1101 to 0x1102. @param waiting requests of the peer without an answer, this one among them */
  async keyRelay(json: JsonObject, waiting: number): Promise<KeyRelayCompletion> {
    const requestId = answerableId(json);
    try {
      const offer = this.#offer(json, waiting);
      return completionOf(requestId, await this.#ports.events.relayed(this.#peer, offer));
    } catch (thrown) {
      return failureOf(requestId, this.#faultOf(thrown), this.#self);
    }
  }

  /** 0x1103 to 0x1104. One that tells nothing only asks whether we live. */
  async keySupplyNotification(json: JsonObject, waiting: number): Promise<KeySupplyNotificationResponse> {
    const answer = { session_ID: answerableSession(json), key_ID: "" };
    try {
      const entries = entriesTold(json);
      if (entries.length > 0) {
        checkLoad(waiting);
        await this.#ports.events.told(this.#peer, entries);
      }
      return { ...answer, response: SUCCESS };
    } catch (thrown) {
      return { ...answer, response: responseOf(this.#faultOf(thrown)) };
    }
  }

  /** Counts what is refused here; the key manager counts what it refuses. */
  #offer(json: JsonObject, waiting: number): RelayOffer {
    try {
      checkLoad(waiting);
      return offerOf(check(KX.keyRelay, json));
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

/** @throws Fault MALFORMED_REQUEST; EXTENSION_UNSUPPORTED for what belongs to a session */
function entriesTold(json: JsonObject): readonly ExtensionEntry[] {
  const tell = check(KX.keySupplyNotification, json);
  if (tell.session_ID !== "" || tell.number_of_keys !== 0) {
    throw new Fault("EXTENSION_UNSUPPORTED", { text: "sessions between key managers are not offered yet" });
  }
  return entriesOf(tell.extension);
}

function answerableSession(json: JsonObject): string {
  const id = json.session_ID;
  return typeof id === "string" && id.length <= MAX_SESSION_ID ? id : "";
}
