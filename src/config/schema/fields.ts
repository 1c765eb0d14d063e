// Kinds of values of a configuration: what each may be, and what is said of one that is not.

import * as v from "valibot";
import { ID_PATTERN } from "../../core/ids.ts";

const ENDPOINT = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/;

/** Text that is not empty. `meaning` is what the manual says, here and in all others. */
export const text = (meaning: string) =>
  v.pipe(v.string("must be text in quotes"), v.minLength(1, "must not be empty"), v.description(meaning));

/** A file that must be there; relative to the configuration's folder. */
export const file = (meaning: string) => v.pipe(text(meaning), v.metadata({ file: "any" }));

/** The same, not open to other users. */
export const secretFile = (meaning: string) => v.pipe(text(meaning), v.metadata({ file: "secret" }));

/** The ID of a KM, link or application. */
export const id = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.regex(ID_PATTERN, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -"),
    v.description(meaning),
  );

/** A whole number between both, inclusive. */
export const integer = (min: number, max: number, meaning: string) =>
  v.pipe(
    v.number("must be a whole number without quotes"),
    v.integer("must be a whole number"),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
    v.description(meaning),
  );

/** True or false. */
export const flag = (meaning: string) => v.pipe(v.boolean("must be true or false"), v.description(meaning));

/** One of some names. */
export const choice = <const Names extends readonly string[]>(names: Names, meaning: string) =>
  v.pipe(v.picklist(names, `must be one of ${names.map((name) => `"${name}"`).join(", ")}`), v.description(meaning));

/** Any of some names, in the order of the file. */
export const choices = <const Names extends readonly string[]>(names: Names, meaning: string) =>
  v.pipe(v.array(choice(names, ""), "must be a list"), v.description(`${meaning}: ${names.join(", ")}`));

/** `host:port`, as a host and a port. */
export const endpoint = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.regex(ENDPOINT, 'must be "host:port", for example "127.0.0.1:7001" or "[::1]:7001"'),
    v.transform((value) => {
      const [, six, name, port] = ENDPOINT.exec(value) ?? [];
      return { host: six ?? name ?? "", port: Number(port) };
    }),
    v.check(({ port }) => port <= 65_535, "the port must be at most 65535"),
    v.description(meaning),
  );

/** An https URL without user, query or fragment. */
export const httpsUrl = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.check((value) => {
      const url = URL.parse(value);
      return url?.protocol === "https:" && [url.username, url.password, url.search, url.hash].join("") === "";
    }, 'must be an https URL, for example "https://192.0.2.7:8020"'),
    v.description(meaning),
  );

/** A list of `host:port`. */
export const endpoints = (meaning: string) =>
  v.pipe(v.array(endpoint(""), 'must be a list, for example ["192.0.2.1:2379"]'), v.description(meaning));

/** Of a number of bits. */
export const wholeBytes = v.check<number, string>((bits) => bits % 8 === 0, "must be a multiple of 8");
/** Of a number of bytes. */
export const powerOfTwo = v.check<number, string>(
  (bytes) => Number.isInteger(Math.log2(bytes)),
  "must be a power of two",
);
