// ETSI GS QKD 014 6.1: the status, as the JSON that firewalls and applications probe.

import type { AppId } from "../core/ids.ts";
import type { SupplyStatus } from "../keys/ports/keys.ts";

/** Strict clients read status integers as int32. */
const INT32 = 2 ** 31 - 1;

const int32 = (value: number): number => Math.min(Math.max(0, Math.floor(value)), INT32);

/**
 * Table 8. The integers agree: stored <= max count, min <= default <= max size. `mostSlaves`: additional ones that a request
 * may name.
 */
export function statusText(master: AppId, slave: AppId, status: SupplyStatus, mostSlaves: number): string {
  const { sizes } = status;
  return JSON.stringify({
    source_KME_ID: status.sourceKm,
    target_KME_ID: status.targetKm,
    master_SAE_ID: master,
    slave_SAE_ID: slave,
    key_size: sizes.defaultBits,
    stored_key_count: int32(status.storedKeys),
    max_key_count: int32(Math.max(status.maxStoredKeys, status.storedKeys)),
    max_key_per_request: int32(sizes.maxKeys(sizes.defaultBits)),
    max_key_size: sizes.maxBits,
    min_key_size: sizes.minBits,
    max_SAE_ID_count: mostSlaves,
  });
}
