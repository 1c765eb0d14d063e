// What a node's configuration says to its parts: the sizes of its vault, the policy of its key manager, its TLS files.

import { readFileSync } from "node:fs";
import type { NodeConfig, TlsFiles } from "../config.ts";
import type { Limit } from "../core/limits.ts";
import { ROW_RULES } from "../keys/manager/row-rules.ts";
import type { KeyManagerSettings } from "../keys/manager/settings.ts";
import type { TlsMaterial } from "../net/tls/options.ts";
import type { OpenVault, VaultOptions } from "../vault/open.ts";

/** Slots of locked memory for the blocks that one link's driver fills. */
export const INTAKE_SLOTS = 6;
const LARGEST_BLOCK = 32_768;

/** Of each peer: relays under way, and rests of KMA-keys beside the stock. */
const KEY_ID_SPARE = 64;
/** Blocks that the largest request may reach into, the turn of an epoch, and a few relays. */
const LEAST_SLOTS = 32;

/** What the configuration says to the vault. */
export const vaultOptionsOf = ({ node, token, memory, supply, peers, ...rest }: NodeConfig): VaultOptions => ({
  km: node.id,
  dir: node.storeDir,
  maxBytes: node.storeMaxBytes,
  blockBytes: blockBytesOf(rest),
  slabBytes: memory.slabBytes,
  allowUnlocked: memory.allowUnlocked,
  mode: token.seal,
  epochSeals: token.epochSeals,
  rows: ROW_RULES,
  keyIdKeys: keyIdKeysOf({ supply }, peers.length),
});

/** Places for the key-ID keys of so many peers. */
export const keyIdKeysOf = ({ supply }: Pick<NodeConfig, "supply">, peers: number): number =>
  (peers + 1) * (supply.stockHigh + supply.maxHeld + KEY_ID_SPARE);

/** @throws Error when the largest request could wait for ever */
export function checkSlots({ links, memory }: NodeConfig, { vault }: OpenVault): void {
  const { all } = vault.health().slots;
  const least = LEAST_SLOTS + links.length * INTAKE_SLOTS;
  if (all >= least) return;
  const bytes = Math.ceil((memory.slabBytes / all) * least);
  throw new Error(`[memory] slab_bytes holds ${all} blocks and this node needs ${least}: set it to ${bytes} or more`);
}

/** Of the links here; or the largest there is, where keys may come that were made of other KMs' links. */
export const blockBytesOf = ({ links, topology }: Pick<NodeConfig, "links" | "topology">): number =>
  links.length === 0 || topology.length > links.length
    ? LARGEST_BLOCK
    : Math.max(...links.map((link) => link.blockBytes));

/** What the configuration says to the key manager. */
export const settingsOf = ({
  supply,
  sessions,
  token,
  links,
  topology,
  peers,
  apps,
}: NodeConfig): KeyManagerSettings => ({
  policy: { ...supply, sessions, epochMs: token.epochMs },
  links,
  peers: peers.map(({ id }) => id),
  topology,
  paths: new Map(peers.map(({ id, paths }) => [id, paths])),
  strict: new Map(peers.filter(({ dialect }) => dialect === "strict").map(({ id, fetchApps }) => [id, { fetchApps }])),
  apps: apps.map(({ id, home, border, quotaBitsPerS, quotaBurstBits }) => ({
    id,
    home,
    ...(border !== undefined && { border }),
    quota: {
      bitsPerS: quotaBitsPerS ?? supply.quotaBitsPerS,
      burstBits: quotaBurstBits ?? supply.quotaBurstBits,
    },
  })),
});

/** Limits that a reload changes, as the configuration in force has them. */
export const limitsOf = (live: { readonly current: NodeConfig }) => ({
  /** Connections at a door that the configuration has. */
  places: (door: "ak" | "etsi014" | "skip" | "etsi004" | "etsi020"): Limit => {
    const limit = (): number => live.current[door]?.maxConnections ?? 0;
    return limit;
  },
  slaves: (): number => live.current.etsi014.mostSlaves,
  defaultKeyBits: (): number => live.current.supply.defaultKeyBits,
  epochSeals: (): number => live.current.token.epochSeals,
  auditBytes: (): number => live.current.audit.maxBytes,
  syslogBytes: (): number => live.current.syslog?.maxBytes ?? 0,
});

/** Under which name a node keeps its audit log: each member of a KM has its own, sealed and witnessed by itself. */
export const auditNameOf = ({ node, cluster }: Pick<NodeConfig, "node" | "cluster">): string =>
  cluster === undefined ? node.id : `${node.id}.${cluster.member}`;

/** @throws Error when one cannot be read */
export const readTls = ({ certificate, key, trust }: TlsFiles): TlsMaterial => ({
  certificate: readFileSync(certificate, "utf8"),
  key: readFileSync(key, "utf8"),
  trust: readFileSync(trust, "utf8"),
});
