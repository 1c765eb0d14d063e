// The types that parameters of Ak and Kx messages have in JSON.

import type { ParameterType } from "./message.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;
/** One entry of `keys`. */
export type KeyEntry = { readonly key: string; readonly key_ID: string; readonly key_extension?: JsonObject };
/** One entry of `key_IDs`. */
export type KeyIdEntry = { readonly key_ID: string; readonly key_ID_extension?: JsonObject };

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function type<T>(name: string, fits: (value: unknown) => boolean, expected: string): ParameterType<T> {
  return { name, complaint: (value, at) => (fits(value) ? undefined : `${at} must be ${expected}`) };
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** A string. */
export const text = type<string>("String", (value) => typeof value === "string", "a string");
/** A whole number from 0. */
export const count = type<number>("Integer", isCount, "an integer, 0 or more");
/** A number of bits. */
export const bits = type<number>("Integer (bits)", isCount, "an integer number of bits, 0 or more");
/** An object whose members are not looked at. */
export const object = type<JsonObject>("Object", isObject, "an object");

/** IDs in order: a string with commas between, or an array of strings. */
export const names = type<string | readonly string[]>(
  "String (comma-separated) or array of strings",
  (value) => typeof value === "string" || (Array.isArray(value) && value.every((item) => typeof item === "string")),
  "a comma-separated string or an array of strings",
);

/** An array of objects whose members are not looked at. */
export const objects = arrayOf<JsonObject>("Array of objects", () => undefined);
/** Keys with their IDs, base64. */
export const keys = arrayOf<KeyEntry>("Array of { key, key_ID, key_extension? }", (entry, at) =>
  firstOf(member(text, entry, "key", at), member(text, entry, "key_ID", at), extra(entry, "key_extension", at)),
);
/** Key IDs, each with an optional extension. */
export const keyIds = arrayOf<KeyIdEntry>("Array of { key_ID, key_ID_extension? }", (entry, at) =>
  firstOf(member(text, entry, "key_ID", at), extra(entry, "key_ID_extension", at)),
);

function arrayOf<T>(
  name: string,
  complaintAboutEntry: (entry: JsonObject, at: string) => string | undefined,
): ParameterType<readonly T[]> {
  return {
    name,
    complaint(value, at) {
      if (!Array.isArray(value)) return `${at} must be an array of objects`;
      for (const [index, entry] of value.entries()) {
        if (!isObject(entry)) return `${at}[${index}] must be an object`;
        const complaint = complaintAboutEntry(entry, `${at}[${index}]`);
        if (complaint !== undefined) return complaint;
      }
      return undefined;
    },
  };
}

function member(of: ParameterType<unknown>, entry: JsonObject, name: string, at: string): string | undefined {
  if (!Object.hasOwn(entry, name) || entry[name] === null) return `${at}.${name} is missing`;
  return of.complaint(entry[name], `${at}.${name}`);
}

const extra = (entry: JsonObject, name: string, at: string): string | undefined =>
  Object.hasOwn(entry, name) && entry[name] !== null ? member(object, entry, name, at) : undefined;

const firstOf = (...complaints: readonly (string | undefined)[]): string | undefined =>
  complaints.find((complaint) => complaint !== undefined);
