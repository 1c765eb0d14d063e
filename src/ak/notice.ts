// 0x1206 on its way to an application, until 0x2107 answers it (Q.4161 8.2.3, 8.2.4).

import { asFault, Fault, type FaultCode, isSuccess } from "../core/fault.ts";
import type { SessionCreation, SessionId } from "../keys/ports/sessions.ts";
import { check } from "../wire/message.ts";
import type { Asked } from "./app-line.ts";
import { AK, type SessionNotification } from "./messages.ts";

/** What is kept of an application's own sentence. */
const MAX_SENTENCE = 200;

/** The payload of 0x1206. */
export function notification(creation: SessionCreation): SessionNotification {
  const { sessionId, initiator, destination, applicationName, budget } = creation;
  return {
    application_source_ID: initiator,
    application_destination_ID: destination,
    ...(applicationName === undefined ? {} : { application_name: applicationName }),
    session_ID: sessionId,
    ...(budget === undefined ? {} : { number_of_keys: budget }),
  };
}

/** One 0x1206 that waits for its 0x2107. */
export class Notice implements Asked {
  /** Rejects with a Fault: SESSION_REFUSED, BUSY or APP_UNAVAILABLE with what the application says, MALFORMED_REQUEST, PEER_UNAVAILABLE. */
  readonly answered: Promise<void>;
  readonly #sessionId: SessionId;
  readonly #resolve: () => void;
  readonly #reject: (fault: Fault) => void;

  constructor(sessionId: SessionId) {
    this.#sessionId = sessionId;
    ({ promise: this.answered, resolve: this.#resolve, reject: this.#reject } = Promise.withResolvers<void>());
  }

  heard(code: number, json: object): "nothing" | "all" {
    if (code !== AK.sessionNotificationResponse.code) return "nothing";
    try {
      const { session_ID, response } = check(AK.sessionNotificationResponse, json);
      if (session_ID !== this.#sessionId) return "nothing";
      if (isSuccess(response)) this.#resolve();
      else this.#reject(refusalOf(response));
    } catch (thrown) {
      this.#reject(asFault(thrown));
    }
    return "all";
  }

  end(fault: Fault): void {
    this.#reject(fault);
  }
}

/** What an application may say in the words of the fault table; whatever else it says is its own refusal, and no fault of a KM. */
const ITS_OWN: readonly FaultCode[] = ["BUSY", "APP_UNAVAILABLE"];

function refusalOf(response: string): Fault {
  const [code = ""] = response.split(":");
  const sentence = response.slice(response.startsWith(`${code}: `) ? code.length + 2 : 0, MAX_SENTENCE).trim();
  const text = `the other application refuses the session${sentence === "" ? "" : `: ${sentence}`}`;
  return new Fault(ITS_OWN.find((own) => own === code) ?? "SESSION_REFUSED", { text });
}
