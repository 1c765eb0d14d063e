// What every part of the key manager is given: its own name, policy, and the ports to the world.
//
// Room `common`: what every room of the key manager is given or shares — its ports and policy, the rows as they lie in the
// store, key IDs, ages, quotas, queues, limits of sizes. Data passes through as values; nothing here decides what happens
// to a key, knows another room, or does I/O.

import type { KmId } from "../../core/ids.ts";
import type { Pace } from "../../core/pace.ts";
import type { SessionPolicy, SupplyPolicy } from "../../core/policy.ts";
import type { Audit, Beat, Clock, Log, Meter, Random } from "../../core/ports.ts";
import type { Vault } from "../../vault/vault.ts";
import type { AgeClock } from "./age-clock.ts";
import type { RelayLog } from "./relay-log.ts";

/** Everything that the configuration decides for the key manager. */
export interface KeysPolicy extends SupplyPolicy {
  /** How long a KEK epoch lasts. */
  readonly epochMs: number;
  readonly sessions: SessionPolicy;
}

/** What every part of the key manager is given: its name, its policy, and the ports to the world. */
export interface Context {
  readonly self: KmId;
  /** Another with each start of the process, so that peers notice one. */
  readonly boot: string;
  /** Of the member that is active, higher with each takeover; 0 for a KM that is one machine. */
  readonly generation: number;
  readonly policy: KeysPolicy;
  readonly vault: Vault;
  readonly clock: Clock;
  readonly ages: AgeClock;
  /** How relays that began here ended. */
  readonly relayLog: RelayLog;
  readonly random: Random;
  /** What can wait takes its turn here. */
  readonly pace: Pace;
  readonly log: Log;
  readonly meter: Meter;
  readonly audit: Audit;
  /** Reported at each tick of the housekeeping, and whenever the store has answered. */
  readonly beats?: { readonly housekeeping: Beat; readonly store: Beat };
}
