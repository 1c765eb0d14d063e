// A payload's bytes as JSON, strictly, and JSON as a payload.

import { FrameError } from "./frame.ts";

/** A byte order mark is passed over (RFC 8259 8.1). */
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The JSON object (RFC 8259) that a payload is.
 * @throws FrameError json when it is not UTF-8, not JSON, or not an object
 */
export function parsePayload(payload: Uint8Array): object {
  return parseObject(() => utf8.decode(payload));
}

/** Like `parsePayload`, of text that is there already or is still to be decoded. @throws FrameError json */
export function parseObject(textOf: () => string): object {
  let json: unknown;
  try {
    json = JSON.parse(textOf());
  } catch (thrown) {
    // The parser's own sentence quotes what it read, so it goes no further than this.
    throw new FrameError("json", `the payload is not JSON in UTF-8 (${thrown instanceof Error ? thrown.name : "?"})`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new FrameError("json", "the payload is not a JSON object");
  }
  return json;
}

/** The UTF-8 of a JSON value. Never for a message that carries key bytes. */
export const encodePayload = (json: object): Uint8Array => Buffer.from(JSON.stringify(json), "utf8");
