// Answers without keys: faults as ETSI GS QKD 014 6.5 has errors, and other texts.

import type { ServerResponse } from "node:http";
import { FAULTS, type Fault } from "../core/fault.ts";
import type { Clock } from "../core/ports.ts";
import { WRITE_DEADLINE_MS } from "./send-keys.ts";

/** How to end an answer: whose clock, and whether the connection ends with it. */
export interface Closing {
  readonly clock: Clock;
  readonly closing: () => boolean;
}

type Headers = Readonly<Record<string, string | number>>;

/** Sends JSON text with its exact length. Does nothing when the client is gone. */
export function sendText(
  to: Closing,
  response: ServerResponse,
  status: number,
  text: string,
  more: Headers = {},
): void {
  const { socket } = response;
  if (socket === null || response.headersSent) return;
  const headers: Record<string, string | number> = { "Content-Length": Buffer.byteLength(text), ...more };
  if (text !== "") headers["Content-Type"] = "application/json";
  headers["Cache-Control"] = "no-store";
  if (to.closing()) headers.Connection = "close";
  response.writeHead(status, headers);
  const endDeadline = to.clock.after(WRITE_DEADLINE_MS, () => socket.destroy());
  response.once("close", endDeadline);
  response.end(text);
}

/** 401 has no body; 503 says when to ask again, as `Retry-After` in seconds and exactly in the details. */
export function sendFault(to: Closing, response: ServerResponse, fault: Fault): void {
  const { http } = FAULTS[fault.code];
  if (http === 401) {
    sendText(to, response, http, "");
    return;
  }
  const after = fault.retryAfterMs;
  const details = [...(fault.details ?? []), ...(after === undefined ? [] : [{ retry_after_ms: String(after) }])];
  const text = JSON.stringify(details.length === 0 ? { message: fault.message } : { message: fault.message, details });
  const more: Headers = http === 503 && after !== undefined ? { "Retry-After": Math.ceil(after / 1000) } : {};
  sendText(to, response, http, text, more);
}
