// The key manager of a node, and who is at home where: opened when token and store are there, closed after everybody else.

import { progressChecksOf } from "../control/health/progress-checks.ts";
import { appId } from "../core/ids.ts";
import type { Log } from "../core/ports.ts";
import { TABLE } from "../keys/common/rows.ts";
import { ApplicationTable } from "../keys/directory/application-table.ts";
import { ConfiguredHomes } from "../keys/directory/configured-homes.ts";
import { Directory } from "../keys/directory/directory.ts";
import { KeyManager } from "../keys/manager/key-manager.ts";
import { assemble } from "../keys/manager/parts.ts";
import type { OpenVault } from "../vault/open.ts";
import type { Base, Node } from "./parts.ts";
import { keyIdKeysOf, settingsOf } from "./settings.ts";

/** The housekeeping ticks every second, and has the clock saved every ten. */
const HOUSEKEEPING_WITHIN_MS = 10_000;
const STORE_WITHIN_MS = 60_000;

/** The applications of the configuration, and below them those of the controller's directory. */
export function directoryOf({ config, live, clock, pace, log, audit }: Base, { vault }: OpenVault) {
  const options = {
    ...{ self: config.node.id, clock, isDirectoryAwaited: true },
    get quota() {
      const { quotaBitsPerS, quotaBurstBits } = live.current.supply;
      return { bitsPerS: quotaBitsPerS, burstBits: quotaBurstBits };
    },
    get formerMs() {
      const { maxAgeMs, fetchWindowMs } = live.current.supply;
      return maxAgeMs + fetchWindowMs;
    },
  };
  const applications = new ApplicationTable(options, settingsOf(config).apps);
  const ports = { vault, clock, pace, log, applications };
  return { applications, directory: new Directory({ ...ports, audit }), homes: new ConfiguredHomes(ports) };
}

/** Whoever is let in no more is cut off, and sessions of applications that are at home elsewhere end. */
export function homesChanged({ credentials }: Base, { applications }: Node, keys: KeyManager): void {
  credentials.lookAgain();
  const inSessions = keys.sessionViews(Number.POSITIVE_INFINITY);
  const here = new Set(
    inSessions.map(({ role, initiator, destination }) => (role === "initiator" ? initiator : destination)),
  );
  for (const app of here) if (!applications.isHomed(app)) keys.disown(appId(app));
}

/** What is shared with peers that the configuration has no more is read too: it takes places until it has aged. */
function makeRoomForFormerPeers({ config, log }: Base, { vault, growKeyIds }: OpenVault): void {
  const peers = new Set([...config.peers, ...[...vault.rows(TABLE.peer)].map(([id]) => ({ id }))].map(({ id }) => id));
  try {
    growKeyIds(keyIdKeysOf(config, peers.size));
  } catch (err) {
    log.warn({ err }, "no more memory can be locked: peers that left the configuration share the room of the others");
  }
}

/** Reads the key inventory; the doors serve from then on. @throws Fault, Error */
export async function openKeys(base: Base, node: Node, restored: boolean): Promise<KeyManager> {
  const { config, clock, random, pace, log, metrics, health, audit, membership } = base;
  const beats = {
    // Before the books are read there is nothing to keep; how long that may take is watched by itself.
    housekeeping: health.part("housekeeping", HOUSEKEEPING_WITHIN_MS, () => node.keys === undefined),
    store: health.part("store", STORE_WITHIN_MS, () => node.keys === undefined),
  };
  const { vault } = node.vault;
  const told = { log, meter: metrics.meter, audit };
  const generation = membership && { generation: membership.generation };
  const { applications, requests } = node;
  const statedRate = (link: string) => node.links?.source(link)?.status().keyRateBitsPerS;
  const own = { self: config.node.id, vault, beats, ...generation, applications, requests, statedRate };
  const ports = { ...own, clock, random, pace, ...told };
  node.directory.restore();
  node.homes.restore();
  makeRoomForFormerPeers(base, node.vault);
  const keys = await KeyManager.open(assemble(ports, settingsOf(config)), restored);
  for (const { name, withinMs, progress } of progressChecksOf(keys)) health.work(name, withinMs, progress);
  node.keys = keys;
  node.more?.opened(keys);
  return keys;
}

/** Writes the marks; whoever zeroised it cannot. */
export async function stopKeys(node: Node, keys: KeyManager, log: Log): Promise<void> {
  await keys.stop().catch((err: unknown) => {
    if (!node.zeroised) log.error({ err }, "the marks could not be written at the stop");
  });
}
