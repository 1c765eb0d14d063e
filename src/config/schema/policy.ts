// The tables of what an operator decides of supply, relay and sessions; `core/policy.ts` has their values as the node works with them.

import * as v from "valibot";
import { integer, wholeBytes } from "./fields.ts";

/** What an application may take. */
export const quota = {
  quota_bits_per_s: integer(8, 1e12, "bits of key a second that an application may take"),
  quota_burst_bits: integer(8, 1e12, "bits of key that an application may take at once"),
};

/** `[supply]`. */
export const SUPPLY = v.optional(
  v.strictObject({
    default_key_bits: v.optional(v.pipe(integer(8, 32_704, "size of a key when none is asked"), wholeBytes), 256),
    timeout_ms: v.optional(integer(1, 600_000, "how long a request waits for key"), 5_000),
    max_waiting: v.optional(integer(1, 1_000_000, "requests that may wait at a time"), 1_024),
    max_age_s: v.optional(integer(1, 31_536_000, "age at which a KMA-key is supplied from no more"), 86_400),
    fetch_window_s: v.optional(integer(1, 31_536_000, "how much longer supplied keys can be fetched by ID"), 3_600),
    relay_timeout_ms: v.optional(integer(100, 600_000, "how long a key relay may take"), 5_000),
    stock_low: v.optional(integer(1, 1_000_000, "relay more when fewer KMA-keys are ready for a destination"), 4),
    stock_high: v.optional(
      integer(1, 1_000_000, "relay until so many are ready; 1,000 hold a million 256-bit keys"),
      8,
    ),
    max_held: v.optional(integer(1, 10_000_000, "KMA-keys that one source KM may have here"), 4_096),
    quota_bits_per_s: v.optional(quota.quota_bits_per_s, 1_000_000_000),
    quota_burst_bits: v.optional(quota.quota_burst_bits, 1_000_000_000),
  }),
  {},
);

/** `[sessions]`: the proactive mode. */
export const SESSIONS = v.optional(
  v.strictObject({
    max: v.optional(
      integer(1, 1_000_000, "sessions at a time that are opened here, and as many opened elsewhere"),
      4_096,
    ),
    max_per_app: v.optional(
      integer(
        1,
        1_000_000,
        "the same for one application; for its destination half of them are shared out among the KMs",
      ),
      1_024,
    ),
    max_keys: v.optional(integer(1, 2 ** 31, "largest budget, and that of a session which names none"), 1_000_000),
    idle_s: v.optional(integer(1, 31_536_000, "a session that was not used for so long ends"), 600),
    notify_timeout_ms: v.optional(
      integer(1, 600_000, "how long an application may take to agree to a session (0x2107)"),
      5_000,
    ),
    acknowledge_timeout_ms: v.optional(
      integer(1, 600_000, "how long an application may take to acknowledge keys (0x210B)"),
      5_000,
    ),
  }),
  {},
);
