// What must happen sometimes: a night that never reached it has proved nothing about it.

import { FAULT_TABLE } from "../faults.ts";
import { INGREDIENT_NAMES } from "../ingredients.ts";

/** By what a run reached. */
export const SOMETIMES: readonly string[] = [
  "kma_keys_ready",
  "kma_keys_relayed",
  "transits",
  "pad_bytes in",
  ...["given_up", "gap", "expired", "lost_at_restart", "mismatch", "restored"].map(
    (why) => `kma_keys_ended source ${why}`,
  ),
  ...["given_up", "expired", "restored"].map((why) => `kma_keys_ended destination ${why}`),
  ...["gap", "overflow", "mismatch", "given_up"].map((why) => `blocks_ended ${why}`),
  ...["BAD_TAG", "STORE_UNAVAILABLE", "HSM_UNAVAILABLE", "SERIAL_SEEN", "RELAY_TIMEOUT", "PEER_UNAVAILABLE"].map(
    (code) => `relays_refused in ${code}`,
  ),
  ...["STORE_UNAVAILABLE", "HSM_UNAVAILABLE", "PEER_UNAVAILABLE", "INSUFFICIENT_KEYS", "KEY_NOT_FOUND"].map(
    (code) => `refused ${code}`,
  ),
  "refused AUDIT_UNAVAILABLE",
  "alarms restored",
  "keys in a session",
  "keys of a strict peer",
  "keys of several applications",
  "copy seen",
  "copy unseen",
  "refused SESSION_UNKNOWN",
  "refused SESSION_ENDED",
  "refused NOT_ACKNOWLEDGED",
  "alarms link_out_of_use",
  "alarms link_differs",
  ...Object.keys(FAULT_TABLE).map((name) => `fault ${name}`),
  ...INGREDIENT_NAMES.map((name) => `with ${name}`),
];
