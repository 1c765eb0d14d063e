// One KM: opens its parts in their order, closes them in the reverse.

import { openToken } from "../../drivers/pkcs11/process/open.ts";
import { conditionOf } from "../control/health/condition.ts";
import { measureLoop } from "../control/metrics/loop.ts";
import { auditCommands } from "../control/socket/audit-commands.ts";
import { operatorCommands } from "../control/socket/operator-commands.ts";
import { startControl } from "../control/socket/socket.ts";
import { keySizes } from "../keys/common/sizes.ts";
import { AppRequests } from "../keys/manager/app-requests.ts";
import type { KeyManager } from "../keys/manager/key-manager.ts";
import { type Kx, startKx } from "../kx/peers.ts";
import { type OpenVault, openVault } from "../vault/open.ts";
import { lateAudit, openAudit } from "./audit.ts";
import { NodeCredentials } from "./credentials.ts";
import { openDoors } from "./doors/key-doors.ts";
import { openMetrics } from "./doors/metrics-doors.ts";
import { ExpiryWatch, expiryCommands, expiryGauges } from "./expiry.ts";
import { directoryOf, homesChanged, openKeys, stopKeys } from "./keys.ts";
import { NodeLinks } from "./links.ts";
import { reloadCommands } from "./live-config.ts";
import { type Base, type Given, type Node, report } from "./parts.ts";
import { Identities, prepareReload, type ReloadedParts } from "./reload.ts";
import { blockBytesOf, checkSlots, limitsOf, vaultOptionsOf } from "./settings.ts";

/** A start that takes longer hangs; a token that is not there may be waited for without an end. */
const START_WITHIN_MS = 120_000;

/** How long a zeroisation waits until the audit log has it. */
const AUDIT_LAST_MS = 100;

/** Runs a KM until `stop` is aborted; says `ready` on stdout when all listen. @throws Fault, Error */
export async function runNode(given: Given): Promise<void> {
  const credentials = new NodeCredentials(given.live.current, given.log);
  const base: Base = { ...lateAudit(given), config: given.live.current, credentials };
  const { config, log, health, stop } = base;
  await using parts = new AsyncDisposableStack();
  const opened = health.task("start", START_WITHIN_MS);
  const vault = await openNodeVault(base);
  parts.use(vault.vault);
  checkSlots(config, vault);
  const auditWriter = parts.use(await openAudit(base, vault));
  const node: Node = {
    vault,
    auditWriter,
    requests: new AppRequests(keySizes(config.supply.defaultKeyBits, blockBytesOf(config))),
    ...directoryOf(base, vault),
    identities: new Identities(config),
    links: undefined,
    keys: undefined,
    more: undefined,
    connections: () => ({}),
    zeroised: false,
    loop: parts.use(measureLoop(base.clock)),
  };
  given.condition.from(() => (node.zeroised ? "zeroised" : conditionOf(report(base, node))));
  // What is closed reports nothing.
  parts.defer(() => given.condition.from(() => (node.zeroised ? "zeroised" : "booting")));
  parts.use(await startControl(config.node.controlSocket, commandsOf(base, node), log));
  await openMetrics(base, node, parts);
  await openDoors(base, node, parts);
  opened();
  void watchCredentials(base);
  parts.use(new ExpiryWatch(() => credentials.expiries, { log, meter: base.metrics.meter }));
  base.metrics.collect(expiryGauges(() => credentials.expiries));
  const verdict = await Promise.race([vault.ready, aborted(stop.signal)]);
  if (verdict === undefined) return;
  const begun = health.task("books", START_WITHIN_MS);
  const keys = await openKeys(base, node, verdict.restored);
  parts.defer(() => stopKeys(node, keys, log));
  parts.defer(node.applications.onChange(() => homesChanged(base, node, keys)));
  const kx = parts.use(await openKx(base, keys));
  node.links = parts.use(linksOf(base, node, keys));
  for (const link of config.links) await node.links.open(link);
  parts.defer(serveReloads(base, node, { keys, kx, links: node.links }));
  begun();
  log.info({ event: "ready", km: config.node.id, links: config.links.map(({ id }) => id) }, "ready");
  process.stdout.write("ready\n");
  await aborted(stop.signal);
  log.info({ event: "ready", km: config.node.id, why: String(stop.signal.reason) }, "stopping");
  base.audit.note("stopping", { why: String(stop.signal.reason) });
  // While the connections stand: whoever waits is refused, and peers are told of sessions' ends.
  await keys.refuse();
}

/** Reloads are taken from now on, until the function returned is called. */
function serveReloads(
  { live, log, credentials, audit }: Base,
  { vault, applications, identities, more, homes }: Node,
  { keys, kx, links }: Pick<ReloadedParts, "keys" | "kx" | "links">,
): () => void {
  if (more === undefined) throw new Error("the doors are opened before reloads are served");
  const parts = { log, credentials, vault, applications, homes, identities, links, keys, kx, doors: more };
  live.told({ log, audit });
  return live.serve((next) => prepareReload(parts, { before: live.current, next }));
}

/** Renewed certificates, trust anchors and revocation lists are taken as they come. */
async function watchCredentials({ credentials, audit, log, stop }: Base): Promise<void> {
  await credentials.watch(stop.signal, (tables) => {
    for (const table of tables) audit.note("credentials_renewed", { table });
    log.info({ event: "credentials_renewed", tables }, "renewed TLS files are in use");
  });
}

function openNodeVault({ config, live, log, metrics, clock, pace, membership }: Base): Promise<OpenVault> {
  const ports = {
    openToken: (ending: AbortSignal) => openToken(config.token, log, ending),
    clock,
    pace,
    log,
    meter: metrics.meter,
  };
  const store = membership && { openStore: () => membership.openStore() };
  const { epochSeals } = limitsOf(live);
  return openVault({ ...vaultOptionsOf(config), epochSeals }, { ...ports, ...store });
}

function commandsOf(base: Base, node: Node) {
  const { stop } = base;
  const { vault } = node.vault;
  return {
    ...auditCommands(node.auditWriter),
    ...base.membership?.commands,
    ...operatorCommands({ keys: () => node.keys, faults: base.faults, log: base.log }),
    status: async () => report(base, node),
    ...reloadCommands(base.live),
    ...expiryCommands(() => base.credentials.expiries),
    stop: async () => {
      stop.abort("told to stop");
      return {};
    },
    zeroise: async () => {
      const begun = performance.now();
      node.zeroised = true;
      void node.keys?.refuse();
      await node.auditWriter.audit.noteLast("zeroised", {}, AUDIT_LAST_MS);
      await vault.zeroise();
      setImmediate(() => stop.abort("zeroised"));
      return { zeroisedInMs: performance.now() - begun };
    },
  };
}

async function openKx(
  { config, live, clock, random, log, metrics, audit, credentials, membership }: Base,
  keys: KeyManager,
): Promise<Kx> {
  const { kx, peers, node } = config;
  const { defaultKeyBits } = limitsOf(live);
  const generation = membership?.generation ?? 0;
  const options = { km: node.id, listen: kx.listen, tls: credentials.of("kx"), peers, defaultKeyBits, generation };
  return await startKx(options, { events: keys.peerEvents, clock, random, log, meter: metrics.meter, audit });
}

function linksOf({ config, log, metrics, clock, random, stop }: Base, { vault }: Node, keys: KeyManager): NodeLinks {
  return new NodeLinks({ self: config.node.id, vault, keys, clock, random, log, meter: metrics.meter, stop });
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
