// Why an application's request came to nothing: refused by its key manager, or not answered.

import { FAULTS, type FaultCode } from "../../core/fault.ts";
import type { KeyResponse } from "../messages.ts";

/** The key manager does not do what it was asked: nothing was consumed. */
export class AkRefusal extends Error {
  override readonly name = "AkRefusal";
  /** A row of the fault table, when the response begins with one. */
  readonly code: FaultCode | undefined;
  readonly response: string;
  /** When the same request may succeed, if the answer tells. */
  readonly retryAfterMs: number | undefined;

  constructor({ response, extension = [] }: Pick<KeyResponse, "response" | "extension">) {
    super(`the key manager does not supply: ${response}`);
    const [code = ""] = response.split(":");
    this.code = Object.hasOwn(FAULTS, code) ? (code as FaultCode) : undefined;
    this.response = response;
    const ms = extension.find((entry) => entry.name === "qkm_retry_after")?.ms;
    this.retryAfterMs = typeof ms === "number" ? ms : undefined;
  }
}

const ENDS = {
  sent: "the request may have been served all the same",
  "not sent": "the request was not sent",
  refused: "nothing was served",
} as const;

/** There is no answer: the connection ended first, the time was over, or the client was closed. */
export class AkUnanswered extends Error {
  override readonly name = "AkUnanswered";
  /** It was sent, so the key manager may have served it: the keys that it asked for may be used up. Ask for others. */
  readonly mayBeServed: boolean;
  /** This application was not let in, or what answers is no key manager: the next try will end in the same way. */
  readonly isRefused: boolean;

  constructor(why: string, end: "sent" | "not sent" | "refused", cause?: unknown) {
    super(`${why}; ${ENDS[end]}`, { cause });
    this.mayBeServed = end === "sent";
    this.isRefused = end === "refused";
  }
}

/** The reason of an AbortSignal that ends waits from inside the client. */
export class Interruption extends Error {
  override readonly name = "Interruption";
}

/** What a wait that `signal` ended throws: the caller's own reason, or that there is no answer. */
export const endedBy = ({ reason }: AbortSignal, sent: boolean): unknown =>
  reason instanceof Interruption ? new AkUnanswered(reason.message, sent ? "sent" : "not sent", reason.cause) : reason;
