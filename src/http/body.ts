// Bodies of requests: bounded, UTF-8, JSON, an object.

import { malformed } from "../core/fault.ts";

/** A longer body is read to its end and refused. */
export const BODY_BYTES = 65_536;

/** An object as JSON has it, its members still to be checked. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The JSON object in a body; an empty body is an empty object.
 * @throws Fault MALFORMED_REQUEST
 */
export function jsonObject(body: Uint8Array | undefined, contentType: string | undefined): JsonObject {
  const value = jsonValue(body, contentType);
  if (!isObject(value)) throw malformed("the body must be a JSON object");
  return value;
}

/** The JSON in a body, whatever it is. @throws Fault MALFORMED_REQUEST */
export function jsonValue(body: Uint8Array | undefined, contentType: string | undefined): unknown {
  if (body === undefined) throw malformed(`the body is longer than ${BODY_BYTES} bytes`);
  if (body.length === 0) return {};
  checkJson(contentType);
  return parsed(body);
}

/** Whether a body is said to be JSON, or nothing is said. @throws Fault MALFORMED_REQUEST */
export function checkJson(contentType: string | undefined): void {
  if (contentType !== undefined && !isJson(contentType)) throw malformed("Content-Type must be application/json");
}

/** Whether a value read from JSON is an object, not an array and not null. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isJson = (contentType: string): boolean =>
  contentType === "application/json" || contentType.split(";", 1)[0]?.trim().toLowerCase() === "application/json";

const UTF8 = new TextDecoder("utf-8", { fatal: true });

function parsed(body: Uint8Array): unknown {
  try {
    const text = UTF8.decode(body);
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw malformed("the body is not JSON in UTF-8", cause);
  }
}
