// Faults as ETSI GS QKD 014 6.5 has errors.

import { FAULTS, type Fault, type FaultCode } from "../core/fault.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Headers } from "../http/head.ts";

/** Of 401, what has a body: it is not about a key. */
const WITH_BODY: readonly FaultCode[] = ["NOT_AT_HOME", "CONNECTION_REFUSED"];

/** 401 has no body, but where a connection is refused or at the wrong key manager; 503 says when to ask again, as `Retry-After` in seconds and exactly in the details. */
export function sendFault(exchange: Exchange, fault: Fault): void {
  const { http } = FAULTS[fault.code];
  if (http === 401 && !WITH_BODY.includes(fault.code)) {
    exchange.sendText(http, "");
    return;
  }
  const after = fault.retryAfterMs;
  const message = fault.etsi014Message;
  const details = [...(fault.details ?? []), ...(after === undefined ? [] : [{ retry_after_ms: String(after) }])];
  const text = JSON.stringify(details.length === 0 ? { message } : { message, details });
  const more: Headers = http === 503 && after !== undefined ? { "Retry-After": Math.ceil(after / 1000) } : {};
  exchange.sendText(http, text, more);
}
