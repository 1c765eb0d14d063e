// The target of a request: its path and its query.

import { Fault } from "../core/fault.ts";

/** RFC 9112 3.2.2: a server takes the absolute form too. */
const ABSOLUTE = /^https:\/\/[^/?#]*/i;

/** A request's target, split at the first `?`; nothing is decoded yet. */
export interface Target {
  readonly path: string;
  /** What follows `?`; undefined when there is none. */
  readonly query: string | undefined;
}

/** Splits a target in origin or absolute form (RFC 9112 3.2). @throws nothing: what is odd is left to the route */
export function splitTarget(target: string): Target {
  const origin = target.startsWith("/") ? target : target.replace(ABSOLUTE, "");
  const mark = origin.indexOf("?");
  return mark < 0 ? { path: origin, query: undefined } : { path: origin.slice(0, mark), query: origin.slice(mark + 1) };
}

/** The value of a parameter that may come once. @throws Fault MALFORMED_REQUEST */
export function single(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  if (values.length > 1) throw new Fault("MALFORMED_REQUEST", { text: `${name} is given more than once` });
  return values[0];
}
