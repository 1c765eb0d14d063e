// Faults as ETSI GS QKD 014 6.5 has errors.

import type { ServerResponse } from "node:http";
import { FAULTS, type Fault } from "../core/fault.ts";
import { type Closing, type Headers, sendText } from "../http/send-text.ts";

/** 401 has no body, but for an application that is at the wrong key manager; 503 says when to ask again, as `Retry-After` in seconds and exactly in the details. */
export function sendFault(to: Closing, response: ServerResponse, fault: Fault): void {
  const { http } = FAULTS[fault.code];
  if (http === 401 && fault.code !== "NOT_AT_HOME") {
    sendText(to, response, http, "");
    return;
  }
  const after = fault.retryAfterMs;
  const message = fault.etsi014Message;
  const details = [...(fault.details ?? []), ...(after === undefined ? [] : [{ retry_after_ms: String(after) }])];
  const text = JSON.stringify(details.length === 0 ? { message } : { message, details });
  const more: Headers = http === 503 && after !== undefined ? { "Retry-After": Math.ceil(after / 1000) } : {};
  sendText(to, response, http, text, more);
}
