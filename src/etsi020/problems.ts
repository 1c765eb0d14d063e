// Refusals as ETSI GS QKD 020 has them: problem details (RFC 9457), and which faults they are.

import type { Fault, FaultCode } from "../core/fault.ts";

const BASE = "https://qkd.etsi.org/gs020-interop-kms/";

/** The types of problems, with their titles. */
const TITLES = {
  "missing-parameters": "a required parameter is missing",
  "invalid-parameter": "a parameter is not valid",
  "key-routing-error": "the keys cannot be routed",
  "insufficient-key-material": "there is not enough key",
  "server-side-general-error": "the key manager cannot do this now",
  unauthorized: "not authorized",
  "void-request-not-understood": "the void request was not understood",
  "no-key-ids-or-confirmation": "neither key IDs nor a confirmation for all keys",
  "ack-not-understood": "the acknowledgement was not understood",
  "key-not-present": "a key is not present",
} as const;

/** Kinds of refusals at the border; each has a status and a title. */
export type ProblemType = keyof typeof TITLES;

/** 400 and 401: nothing was kept. */
type Status = 400 | 401 | 404 | 405 | 503;

/** A refusal at this door. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: Status;
  readonly type: ProblemType;
  readonly details: Readonly<Record<string, string>>;

  constructor(status: Status, type: ProblemType, details: Readonly<Record<string, string>>) {
    super(Object.values(details).join("; "));
    this.status = status;
    this.type = type;
    this.details = details;
  }

  get text(): string {
    const { status, type, details } = this;
    return JSON.stringify({ type: `${BASE}${type}`, status, title: TITLES[type], details });
  }
}

type Row = readonly [status: Status, type: ProblemType, detail: string];

/** Faults that have a problem of their own; all others are `server-side-general-error`. */
const ROWS: Partial<Readonly<Record<FaultCode, Row>>> = {
  MALFORMED_REQUEST: [400, "invalid-parameter", "reason"],
  KEY_SIZE_INVALID: [400, "invalid-parameter", "value"],
  KEY_ID_TAKEN: [400, "invalid-parameter", "key_id"],
  UNKNOWN_APPLICATION: [400, "key-routing-error", "target_sae_id_not_recognized"],
  NOT_ON_ROUTE: [400, "key-routing-error", "invalid_routing"],
  NO_ROUTE: [503, "key-routing-error", "no_known_route"],
  KEY_NOT_FOUND: [400, "key-not-present", "reason"],
  NOT_AUTHORIZED: [401, "unauthorized", "reason"],
  INSUFFICIENT_KEYS: [503, "insufficient-key-material", "reason"],
};

/** The problem that a fault is. */
export function problemOf({ code, message }: Fault): Problem {
  const [status, type, detail] = ROWS[code] ?? [503, "server-side-general-error", "reason"];
  return new Problem(status, type, { [detail]: message });
}
