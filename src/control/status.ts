// What a running KM says of itself: one plain object, for `qkm status`, the live table and whoever waits for readiness.

import type { KmId } from "../core/ids.ts";
import type { LinkInventory } from "../keys/links/link-inventory.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import type { Peer } from "../keys/peers/peer.ts";
import type { StrictPeer } from "../keys/strict/strict.ts";
import type { HealthReport } from "./health/health.ts";

/** The state of token, store and locked memory. */
type VaultHealth = ReturnType<KeyManager["context"]["vault"]["health"]>;

/** The module of a link and its line, as the driver tells. */
interface LineStatus {
  readonly line: "up" | "down";
  readonly module?: string;
  readonly qber?: number;
  readonly keyRateBitsPerS?: number;
  readonly alarms: readonly string[];
}

/** A link of this KM, with its module and line. */
export interface LinkReport extends LineStatus {
  readonly id: string;
  readonly peer: string;
  /** `refused` too while an operator has it out of use, which `alarms` begins with: `out-of-use`. */
  readonly agreement: LinkInventory["agreement"];
  /** Blocks stored, and own ones that can be used now. */
  readonly stored: number;
  readonly usable: number;
  readonly blockBytes: number;
  /** Key from the module over the last blocks, in bit/s; 0 before two have come. */
  readonly measuredBitsPerS: number;
  /** Bytes that served as pads since the start, of what left here and of what came in. */
  readonly padBytes: { readonly out: number; readonly in: number };
}

/** What is shared with one peer, or within this KM. */
export interface PeerReport {
  readonly id: string;
  /** A route leads to it. */
  readonly reachable: boolean;
  readonly connected: boolean;
  readonly synchronised: boolean;
  /** Of another make: its `success` counts, for nothing is proved. */
  readonly strict?: true;
  /** Keys of the default size that can be supplied at once. */
  readonly storedKeys: number;
  /** KMA-keys; with a strict peer whole keys. */
  readonly kmaKeys: number;
  readonly held: number;
  readonly inFlight: number;
  readonly waiting: number;
}

/** What a member of a KM says of itself and of the others; `generation` is that of whoever is active. */
export interface ClusterReport {
  readonly member: string;
  readonly state: "active" | "standby";
  readonly generation: number;
  readonly owner?: string;
  /** For how long its copy has been behind the last write. */
  readonly lagMs: number;
  readonly leaseLeftMs: number;
  readonly etcd: "ready" | "failing";
  readonly others: readonly {
    readonly member: string;
    readonly state: "active" | "standby";
    readonly behind: number;
  }[];
}

/** Everything that a KM says of itself. */
export interface KmReport {
  readonly km: string;
  readonly ready: boolean;
  readonly vault: VaultHealth;
  /** Absent where the KM is one machine. */
  readonly cluster?: ClusterReport;
  /** Absent where nobody watches. */
  readonly health?: HealthReport;
  readonly links: readonly LinkReport[];
  /** Peers with links; the KM itself stands for keys between its own applications. */
  readonly peers: readonly PeerReport[];
  /** Sessions by the role of the application at home here. */
  readonly sessions: { readonly initiator: number; readonly destination: number };
}

/** `keys` is undefined before the books are read. */
export function reportOf(
  km: KmId,
  vault: VaultHealth,
  keys: KeyManager | undefined,
  lineOf: (link: string) => LineStatus | undefined,
): KmReport {
  if (keys === undefined)
    return { km, ready: false, vault, links: [], peers: [], sessions: { initiator: 0, destination: 0 } };
  const now = keys.context.clock.monotonicMs();
  const { initiator, destination } = keys.sessions.sizes;
  return {
    km,
    ready: true,
    vault,
    links: [...keys.links.values()].map((link) => linkReport(link, now, lineOf(link.settings.id))),
    peers: [
      localReport(keys),
      ...[...keys.peers.values()].map((peer) => peerReport(keys, peer)),
      ...[...keys.strict].map(strictReport),
    ],
    sessions: { initiator, destination },
  };
}

function linkReport(link: LinkInventory, nowMs: number, line: LineStatus = { line: "down", alarms: [] }): LinkReport {
  const { id, peer, blockBytes } = link.settings;
  const interval = link.interval(nowMs);
  return {
    ...line,
    alarms: link.use.isOn ? line.alarms : ["out-of-use", ...line.alarms],
    id,
    peer,
    agreement: link.agreement,
    stored: link.stored,
    usable: link.usable,
    padBytes: { ...link.padBytes },
    blockBytes,
    measuredBitsPerS: interval === undefined ? 0 : Math.round((blockBytes * 8 * 1000) / interval),
  };
}

type Pair = Pick<Peer, "stock" | "held" | "desk">;

function amounts(keys: KeyManager, { stock, held, desk }: Pair) {
  return {
    storedKeys: stock.count(Math.ceil(keys.sizes.defaultBits / 64) * 8),
    kmaKeys: stock.size,
    held: held.size,
    inFlight: stock.inFlight,
    waiting: desk.waiting,
  };
}

function peerReport(keys: KeyManager, peer: Peer): PeerReport {
  const { id, connection, phase } = peer;
  const reachable = Number.isFinite(peer.keyBytes) && keys.routes.reaches(id);
  return {
    ...{ id, reachable, connected: connection !== undefined, synchronised: phase === "synchronised" },
    ...amounts(keys, peer),
  };
}

function strictReport({ id, peer, status, stock, held, desk }: StrictPeer): PeerReport {
  const connected = peer !== undefined;
  return {
    ...{ id, reachable: true, connected, synchronised: connected, strict: true },
    storedKeys: status.storedKeys,
    kmaKeys: stock.book.size,
    held: held.book.size,
    inFlight: stock.allInFlight,
    waiting: desk.waiting,
  };
}

function localReport(keys: KeyManager): PeerReport {
  return { id: keys.context.self, reachable: true, connected: true, synchronised: true, ...amounts(keys, keys.local) };
}
