// One KM: opens its parts in their order, closes them in the reverse.

import { readFileSync } from "node:fs";
import { openToken } from "../../drivers/pkcs11/process/open.ts";
import { startAk } from "../ak/server.ts";
import type { NodeConfig } from "../config.ts";
import type { AuditWriter, LateAudit } from "../control/audit/audit-writer.ts";
import { certificateReader } from "../control/certificates.ts";
import type { ControllerState } from "../control/controller/answers.ts";
import { startController } from "../control/controller/endpoint.ts";
import { type ConditionTeller, conditionOf } from "../control/health/condition.ts";
import { type Health, healthGauges } from "../control/health/health.ts";
import { progressChecksOf } from "../control/health/progress-checks.ts";
import type { SettableLog } from "../control/log.ts";
import { kmGauges } from "../control/metrics/km-gauges.ts";
import { type LoopMeasure, measureLoop, processGauges } from "../control/metrics/loop.ts";
import type { Metrics } from "../control/metrics/metrics.ts";
import { startMetrics, startMonitoring } from "../control/metrics/server.ts";
import type { RecentFaults } from "../control/recent-faults.ts";
import { auditCommands } from "../control/socket/audit-commands.ts";
import type { ControlCommands } from "../control/socket/dialogue.ts";
import { operatorCommands } from "../control/socket/operator-commands.ts";
import { startControl } from "../control/socket/socket.ts";
import { type KmReport, reportOf } from "../control/status.ts";
import type { SyslogCopy } from "../control/syslog/syslog.ts";
import type { systemClock, systemRandom } from "../control/system.ts";
import type { Fault } from "../core/fault.ts";
import { appId } from "../core/ids.ts";
import type { Pace } from "../core/pace.ts";
import type { Audit, Log } from "../core/ports.ts";
import { startEtsi014 } from "../etsi014/server.ts";
import { TABLE } from "../keys/common/rows.ts";
import { keySizes } from "../keys/common/sizes.ts";
import { ApplicationTable } from "../keys/directory/application-table.ts";
import { ConfiguredHomes } from "../keys/directory/configured-homes.ts";
import { Directory } from "../keys/directory/directory.ts";
import { AppRequests } from "../keys/manager/app-requests.ts";
import { KeyManager } from "../keys/manager/key-manager.ts";
import { assemble } from "../keys/manager/parts.ts";
import { type Kx, startKx } from "../kx/peers.ts";
import { type OpenVault, openVault } from "../vault/open.ts";
import type { Store } from "../vault/store/store.ts";
import { SupplyRing } from "../wire/ring.ts";
import { lateAudit, openAudit, versionOf } from "./audit.ts";
import { NodeCredentials, tlsTables } from "./credentials.ts";
import { type MoreDoors, openMoreDoors } from "./doors/more-doors.ts";
import { ExpiryWatch, expiryCommands, expiryGauges } from "./expiry.ts";
import { NodeLinks } from "./links.ts";
import { type LiveConfig, reloadCommands } from "./live-config.ts";
import { Identities, prepareReload, type ReloadedParts } from "./reload.ts";
import { blockBytesOf, checkSlots, keyIdKeysOf, limitsOf, settingsOf, vaultOptionsOf } from "./settings.ts";

/** A start that takes longer hangs; a token that is not there may be waited for without an end. */
const START_WITHIN_MS = 120_000;

/** How long a zeroisation waits until the audit log has it. */
const AUDIT_LAST_MS = 100;

/** What an active member brings: its store, its generation, and what operators see and do. */
export interface Membership {
  readonly generation: number;
  openStore(): Promise<Store>;
  report(): NonNullable<KmReport["cluster"]>;
  readonly commands: ControlCommands;
}

/** What a KM is given. */
export interface Given {
  /** What node.toml says: what is read of it after the start is asked anew each time. */
  readonly live: LiveConfig;
  readonly log: SettableLog;
  /** What the log has of warnings and errors. */
  readonly faults: Pick<RecentFaults, "read">;
  readonly metrics: Metrics;
  readonly clock: typeof systemClock;
  readonly random: typeof systemRandom;
  readonly pace: Pace;
  readonly health: Health;
  /** Tells lights and service manager what the KM is like. */
  readonly condition: Pick<ConditionTeller, "from">;
  /** Of a KM with several members, this one is active; undefined for a KM that is one machine. */
  readonly membership?: Membership;
  /** Where a copy of the log and the audit log goes. */
  readonly syslog: SyslogCopy | undefined;
  /** Ends every wait: SIGTERM, SIGINT, `qkm stop`, `qkm zeroise`, or the process that started us is gone. */
  readonly stop: AbortController;
}

/** What all parts are given. */
interface Base extends Given {
  /** As it was at the start. */
  readonly config: NodeConfig;
  readonly audit: LateAudit;
  /** Of its doors, renewed when their files are. */
  readonly credentials: NodeCredentials;
}

/** The parts that others look at, as far as they are open. */
interface Node {
  readonly vault: OpenVault;
  readonly auditWriter: AuditWriter;
  /** What applications ask: refused until the books are read. */
  readonly requests: AppRequests;
  /** Who is at home where: what the doors and the key manager ask. */
  readonly applications: ApplicationTable;
  /** What the controller has told of it. */
  readonly directory: Directory;
  /** What node.toml says of homes, kept for the next start. */
  readonly homes: ConfiguredHomes;
  /** Who has certificates of another make. */
  readonly identities: Identities;
  /** The modules; undefined until the books are read. */
  links: NodeLinks | undefined;
  keys: KeyManager | undefined;
  /** Those that are closed unless they are configured. */
  more: MoreDoors | undefined;
  /** Connections open, by door. */
  connections: () => Readonly<Record<string, number>>;
  zeroised: boolean;
  readonly loop: LoopMeasure;
}

type Reporting = Pick<Base, "config" | "health" | "membership">;

const report = ({ config, health, membership }: Reporting, { vault, keys, links, directory }: Node): KmReport => ({
  ...reportOf(config.node.id, vault.vault.health(), keys, (link) => links?.source(link)?.status()),
  health: health.read(),
  ...(membership && { cluster: membership.report() }),
  ...(directory.facts().revision > 0 && { directory: directory.facts() }),
});

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

/** The applications of the configuration, and below them those of the controller's directory. */
function directoryOf({ config, live, clock, pace, log, audit }: Base, { vault }: OpenVault) {
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
function homesChanged({ credentials }: Base, { applications }: Node, keys: KeyManager): void {
  credentials.lookAgain();
  const inSessions = keys.sessionViews(Number.POSITIVE_INFINITY);
  const here = new Set(
    inSessions.map(({ role, initiator, destination }) => (role === "initiator" ? initiator : destination)),
  );
  for (const app of here) if (!applications.isHomed(app)) keys.disown(appId(app));
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

async function openMetrics(base: Base, node: Node, parts: AsyncDisposableStack): Promise<void> {
  const { metrics } = base;
  metrics.collect(processGauges(node.loop));
  metrics.collect(healthGauges(base.health));
  metrics.collect(kmGauges(() => ({ report: report(base, node), connections: node.connections() })));
  await openMetricsDoors(base, parts);
}

/** The metrics' plain listener, and the one over TLS where the configuration has it. */
export async function openMetricsDoors(
  {
    config,
    metrics,
    log,
    credentials,
    audit,
  }: Pick<Base, "config" | "metrics" | "log" | "credentials"> & {
    readonly audit?: Audit;
  },
  parts: AsyncDisposableStack,
): Promise<void> {
  parts.use(await startMetrics(config.metrics.listen, metrics, log));
  const { monitoring } = config;
  if (monitoring === undefined) return;
  const options = { listen: monitoring.listen, tls: credentials.of("monitoring") };
  parts.use(await startMonitoring(options, metrics, { log, meter: metrics.meter, ...(audit && { audit }) }));
}

/** Ak and ETSI 014: they answer from the first moment on, with a refusal until the books are read. */
async function openDoors(base: Base, node: Node, parts: AsyncDisposableStack): Promise<void> {
  const { config, live, log, metrics, clock, credentials } = base;
  const admit = (id: string): Fault | undefined => node.applications.admit(id);
  const doors = { door: node.requests, sessions: node.requests, admit, identify: node.identities.identify };
  const disowned = (id: string): void => node.keys?.disown(appId(id));
  const ports = { ...doors, disowned, clock, log, meter: metrics.meter, audit: base.audit };
  const ring = new SupplyRing(node.vault.lockedRegion(config.memory.ringBytes / 2));
  const memory = node.vault.lockedRegion(config.memory.ringBytes / 2);
  const limits = limitsOf(live);
  const places = { maxConnections: limits.places("etsi014"), mostSlaves: limits.slaves };
  const ak = parts.use(
    await startAk({ ...config.ak, tls: credentials.of("ak"), maxConnections: limits.places("ak") }, { ...ports, ring }),
  );
  const etsi = parts.use(
    await startEtsi014({ ...config.etsi014, ...places, tls: credentials.of("etsi014"), memory }, ports),
  );
  node.more = await openMoreDoors({
    ...{ live, ports, credentials, parts },
    memory: (bytes) => node.vault.lockedRegion(bytes),
  });
  const controllers = await openControllerDoors(base, node, parts);
  node.connections = () => ({
    ...{ ak: ak.connections, etsi014: etsi.connections },
    ...node.more?.connections(),
    ...controllers(),
  });
}

/** Sessions of each role that a controller is told of. */
const SESSIONS_TOLD = 100;

/** The doors for controllers that the configuration has; what is returned tells their connections. */
async function openControllerDoors(
  base: Base,
  node: Node,
  parts: AsyncDisposableStack,
): Promise<() => Readonly<Record<string, number>>> {
  const { config, log, metrics, audit, credentials } = base;
  const ports = { state: controllerState(base, node), log, meter: metrics.meter, audit };
  const open: Record<string, { readonly connections: number }> = {};
  const { controller, etsi015 } = config;
  if (controller !== undefined) {
    const options = { listen: controller.listen, tls: credentials.of("controller") };
    open.controller = parts.use(await startController(options, ports));
  }
  if (etsi015 !== undefined) {
    const { startEtsi015 } = await import("../control/etsi015/server.ts");
    const options = { listen: etsi015.listen, tls: credentials.of("etsi015") };
    open.etsi015 = parts.use(await startEtsi015(options, ports));
  }
  return () => Object.fromEntries(Object.entries(open).map(([door, { connections }]) => [door, connections]));
}

/** Applications of the directory that a controller is told of beside those of the configuration. */
const APPS_TOLD = 1000;

/** Those of the configuration, and those that were supplied or fetched something since the start. */
function knownApps({ applications }: Node, counts: Pick<ReturnType<ControllerState["keys"]>, "supplied" | "fetched">) {
  const here = applications.configuredHere;
  const known = new Set<string>(here.map(({ id }) => id));
  const others = new Set([...counts.supplied.keys(), ...counts.fetched.keys()]);
  const { self } = applications.options;
  const told = [...others].filter((id) => !known.has(id) && applications.isHomed(id)).slice(0, APPS_TOLD);
  return [...here, ...told.map((id) => ({ id, home: self }))];
}

function controllerState({ config, live, health, faults, metrics, ...rest }: Base, node: Node): ControllerState {
  const keys = () => ({ supplied: metrics.sums("keys_supplied", "app"), fetched: metrics.sums("keys_fetched", "app") });
  return {
    report: () => report({ config, health, ...rest }, node),
    desk: () => node.keys?.routeAdmin,
    version: versionOf(readFileSync(new URL("../../package.json", import.meta.url), "utf8")),
    board: config.node.board,
    get topology() {
      return live.current.topology;
    },
    apps: { count: () => node.applications.count, known: () => knownApps(node, keys()) },
    directory: node.directory,
    keys,
    faults: () => faults.read(),
    sessions: () => node.keys?.sessionViews(SESSIONS_TOLD) ?? [],
    certificates: certificateReader(() => Object.fromEntries(tlsTables(live.current))),
    loop: () => node.loop.read(),
    memoryBytes: () => process.memoryUsage.rss(),
    startedMs: Date.now() - process.uptime() * 1000,
  };
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

async function openKeys(base: Base, node: Node, restored: boolean): Promise<KeyManager> {
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

/** The housekeeping ticks every second, and has the clock saved every ten. */
const HOUSEKEEPING_WITHIN_MS = 10_000;
const STORE_WITHIN_MS = 60_000;

async function stopKeys(node: Node, keys: KeyManager, log: Log): Promise<void> {
  await keys.stop().catch((err: unknown) => {
    if (!node.zeroised) log.error({ err }, "the marks could not be written at the stop");
  });
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
