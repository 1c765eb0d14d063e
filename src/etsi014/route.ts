// ETSI GS QKD 014 clause 5: which of the three methods a request target names, and for which application.

import { Fault } from "../core/fault.ts";
import { type AppId, appId } from "../core/ids.ts";
import { splitTarget } from "../http/target.ts";

/** The three methods of ETSI GS QKD 014 clause 5, by the last part of their paths. */
export type Operation = "status" | "enc_keys" | "dec_keys";

/** `/api/v1/keys/{SAE_ID}/{operation}?{query}`. */
export interface Route {
  readonly operation: Operation;
  /** The slave for `status` and `enc_keys`, the master for `dec_keys`. */
  readonly other: AppId;
  /** What follows `?`; undefined when there is none. */
  readonly query: string | undefined;
}

/** The HTTP methods of each operation, as the `Allow` header has them. */
export const ALLOWED: Readonly<Record<Operation, string>> = {
  status: "GET",
  enc_keys: "GET, POST",
  dec_keys: "GET, POST",
};

const BASE = "/api/v1/keys/";

/**
 * Undefined when the path is none of the three.
 * @throws Fault MALFORMED_REQUEST when the segment is no application's ID once it is URL-decoded
 */
export function routeOf(target: string): Route | undefined {
  const { path, query } = splitTarget(target);
  const slash = path.indexOf("/", BASE.length);
  if (slash < 0 || !path.startsWith(BASE)) return undefined;
  const operation = path.slice(slash + 1);
  if (!isOperation(operation)) return undefined;
  const other = appId(decodeSegment(path.slice(BASE.length, slash)));
  return { operation, other, query };
}

const isOperation = (text: string): text is Operation => Object.hasOwn(ALLOWED, text);

function decodeSegment(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: "the SAE_ID in the path is not URL-encoded UTF-8", cause });
  }
}
