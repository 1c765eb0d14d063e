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
  status: "GET, HEAD",
  enc_keys: "GET, HEAD, POST",
  dec_keys: "GET, HEAD, POST",
};

const BASE = "/api/v1/keys/";

/**
 * Undefined when the path is none of the three.
 * @throws Fault MALFORMED_REQUEST when the segment is blank or no application's ID once it is URL-decoded
 */
export function routeOf(target: string): Route | undefined {
  const { path, query } = splitTarget(target);
  const slash = path.indexOf("/", BASE.length);
  if (!path.startsWith(BASE)) return undefined;
  // Many clients make one slash of two.
  if (slash < 0 && isOperation(path.slice(BASE.length))) throw blank();
  if (slash < 0) return undefined;
  const operation = path.slice(slash + 1);
  if (!isOperation(operation)) return undefined;
  const segment = decodeSegment(path.slice(BASE.length, slash));
  if (segment.trim() === "") throw blank();
  const other = appId(segment);
  return { operation, other, query };
}

const blank = (): Fault =>
  new Fault("MALFORMED_REQUEST", { text: "the SAE_ID in the path is blank", details: [{ parameter: "SAE_ID" }] });

const isOperation = (text: string): text is Operation => Object.hasOwn(ALLOWED, text);

function decodeSegment(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new Fault("MALFORMED_REQUEST", { text: "the SAE_ID in the path is not URL-encoded UTF-8", cause });
  }
}
