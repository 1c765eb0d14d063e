// What a key manager is told when it is opened: its configuration, and what the process has for it.

import type { KmId } from "../../core/ids.ts";
import type { Audit } from "../../core/ports.ts";
import type { Context, KeysPolicy } from "../common/context.ts";
import { keySizes } from "../common/sizes.ts";
import { type AppEntry, ApplicationTable } from "../directory/application-table.ts";
import type { LinkSettings } from "../links/link-inventory.ts";
import type { TopologyLink } from "../routes/routes.ts";
import type { StrictSettings } from "../strict/strict.ts";
import { AppRequests } from "./app-requests.ts";

/** What the configuration says to the key manager. */
export interface KeyManagerSettings {
  readonly policy: KeysPolicy;
  readonly links: readonly LinkSettings[];
  readonly peers: readonly KmId[];
  readonly apps: readonly AppEntry[];
  /** Links of the network; our own are always part of it. */
  readonly topology?: readonly TopologyLink[];
  /** Of a peer: routes that share no KM, over which each KMA-key travels in parts; 1 unless it is here. */
  readonly paths?: ReadonlyMap<KmId, number>;
  /** Peers of another make, which know the tables of the standard alone. */
  readonly strict?: ReadonlyMap<KmId, StrictSettings>;
}

/** What the process has for it. Without an audit log nothing is noted. */
export type KeyManagerPorts = Omit<Context, "boot" | "generation" | "ages" | "policy" | "relayLog" | "audit"> & {
  readonly audit?: Audit;
  /** Of a KM with several members. */
  readonly generation?: number;
  /** What the doors ask too; one of the settings' applications alone when absent. */
  readonly applications?: ApplicationTable;
  /** What the doors were given before the key manager was there; its own when absent. */
  readonly requests?: AppRequests;
  /** The rate that a link's module states, in bit/s. */
  readonly statedRate?: (link: string) => number | undefined;
};

/** A copy that only a reconfiguration changes. */
export const ownPolicy = ({ policy }: KeyManagerSettings): KeysPolicy => ({
  ...policy,
  sessions: { ...policy.sessions },
});

/** For a key manager that shares no table with doors, and follows no directory. */
export function tableOf({ self, clock }: Pick<Context, "self" | "clock">, { policy, apps }: KeyManagerSettings) {
  const quota = { bitsPerS: 0, burstBits: 0 };
  return new ApplicationTable({ self, clock, quota, formerMs: policy.maxAgeMs + policy.fetchWindowMs }, apps);
}

/** Where no doors were there before. */
export const requestsOf = ({ policy, links }: KeyManagerSettings): AppRequests =>
  new AppRequests(keySizes(policy.defaultKeyBits, largestBlock(links)));

/** Without any link, keys between two applications of this KM are carved from blocks of this size. */
const DEFAULT_BLOCK = 4096;

/** Of the links here, in bytes. */
export const largestBlock = (links: readonly LinkSettings[]): number =>
  Math.max(DEFAULT_BLOCK, ...links.map((link) => link.blockBytes));
