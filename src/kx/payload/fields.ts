// Checks of single values that a peer sent: each gives the value, or says what it must be.

import { malformed } from "../../core/fault.ts";
import { ID_PATTERN } from "../../core/ids.ts";
import type { JsonObject } from "../../wire/types.ts";

const TAG_BYTES = 16;

/** @throws Fault MALFORMED_REQUEST, like all that follow */
export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} must be an object`);
  return value as JsonObject;
}

/** A whole number from 0. @throws Fault MALFORMED_REQUEST */
export function integerOf(value: unknown, what: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`${what} must be an integer, 0 or more`);
}

/** 1 to `most` characters. */
export function textOf(value: unknown, what: string, most: number): string {
  if (typeof value === "string" && value.length >= 1 && value.length <= most) return value;
  throw malformed(`${what} must be a string of 1 to ${most} characters`);
}

/** 16 bytes in canonical base64. */
export function tagOf(value: unknown, what: string): Uint8Array {
  const tag = typeof value === "string" ? Buffer.from(value, "base64") : undefined;
  if (tag?.length === TAG_BYTES && tag.toString("base64") === value) return new Uint8Array(tag);
  throw malformed(`${what} must be the base64 of ${TAG_BYTES} bytes`);
}

/** An ID of a KM or application, read by `parse`. @throws Fault MALFORMED_REQUEST */
export function idOf<T>(value: unknown, what: string, parse: (text: string) => T): T {
  if (typeof value === "string" && ID_PATTERN.test(value)) return parse(value);
  throw malformed(`${what} must be an ID of 1 to 64 characters of A-Z a-z 0-9 . _ : @ -`);
}

/** @throws RangeError when it is no tag of 16 bytes */
export function base64(tag: Uint8Array): string {
  if (tag.length !== TAG_BYTES) throw new RangeError(`a tag has ${TAG_BYTES} bytes, not ${tag.length}`);
  return Buffer.from(tag).toString("base64");
}
