// What every part of the key manager is given: its own name, policy, and the ports to the world.
//
// Room `common`: what every room of the key manager is given or shares — its ports and policy, the rows as they lie in the
// store, key IDs, ages, quotas, queues, limits of sizes. Data passes through as values; nothing here decides what happens
// to a key, knows another room, or does I/O.

import type { KmId } from "../../core/ids.ts";
import type { Pace } from "../../core/pace.ts";
import type { Audit, Beat, Clock, Log, Meter, Random } from "../../core/ports.ts";
import type { Vault } from "../../vault/vault.ts";
import type { AgeClock } from "./age-clock.ts";
import type { RelayLog } from "./relay-log.ts";

/** Limits of the proactive mode (design 6). A KM has them for the sessions of its applications, whatever the peer's are. */
export interface SessionPolicy {
  /** Sessions at a time that were opened here, and as many more that were opened elsewhere with applications of this KM. */
  readonly max: number;
  /** The same for one application. */
  readonly maxPerApp: number;
  /** The largest budget, and that of a session which names none; in keys. */
  readonly maxKeys: number;
  /** A session that was not used for so long ends. */
  readonly idleMs: number;
  /** How long an application may take to answer that it takes part (0x2107). */
  readonly notifyMs: number;
  /** How long an application may take to acknowledge the keys of one push (0x210B). */
  readonly acknowledgeMs: number;
}

/** Times in ms, amounts in KMA-keys unless the name says otherwise. */
export interface KeysPolicy {
  readonly defaultKeyBits: number;
  /** How long a request waits for stock. */
  readonly timeoutMs: number;
  /** Requests that may wait, all applications together. */
  readonly maxWaiting: number;
  readonly maxAgeMs: number;
  /** How much longer than `maxAgeMs` a destination keeps its copy. */
  readonly fetchWindowMs: number;
  readonly relayTimeoutMs: number;
  /** Relays to a destination begin below `stockLow` and stop at `stockHigh`. */
  readonly stockLow: number;
  readonly stockHigh: number;
  /** What one source may have here. */
  readonly maxHeld: number;
  /** How long a KEK epoch lasts. */
  readonly epochMs: number;
  /** Limits of sessions; the defaults when absent. */
  readonly sessions?: SessionPolicy;
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
