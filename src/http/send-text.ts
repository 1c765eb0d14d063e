// Answers without keys.

import type { ServerResponse } from "node:http";
import type { Clock } from "../core/ports.ts";
import { WRITE_DEADLINE_MS } from "./send-keys.ts";

/** How to end an answer: whose clock, and whether the connection ends with it. */
export interface Closing {
  readonly clock: Clock;
  readonly closing: () => boolean;
}

/** Header fields of an answer by their names. */
export type Headers = Readonly<Record<string, string | number>>;

/** Sends JSON text with its exact length; undefined for the answer to a HEAD whose length is not known. Does nothing when the client is gone. */
export function sendText(
  to: Closing,
  response: ServerResponse,
  status: number,
  text: string | undefined,
  more: Headers = {},
): void {
  const { socket } = response;
  if (socket === null || response.destroyed || response.headersSent) return;
  const headers: Record<string, string | number> = { ...more };
  if (text !== undefined) headers["Content-Length"] = Buffer.byteLength(text);
  if (text !== "") headers["Content-Type"] ??= "application/json";
  headers["Cache-Control"] = "no-store";
  if (to.closing()) headers.Connection = "close";
  response.writeHead(status, headers);
  const endDeadline = to.clock.after(WRITE_DEADLINE_MS, () => socket.destroy());
  response.once("close", endDeadline);
  response.end(text);
}
