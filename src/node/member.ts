// A KM that is several machines: this one is a standby, then active, then a standby again, until the stop.

import { join } from "node:path";
import { openGateway } from "../cluster/gateway.ts";
import { Member } from "../cluster/member.ts";
import type { ClusterConfig, NodeConfig } from "../config.ts";
import { Health, healthGauges } from "../control/health/health.ts";
import { clusterGauges } from "../control/metrics/km-gauges.ts";
import { measureLoop, processGauges } from "../control/metrics/loop.ts";
import type { Metrics } from "../control/metrics/metrics.ts";
import type { ControlCommands } from "../control/socket/dialogue.ts";
import { startControl } from "../control/socket/socket.ts";
import type { KmReport } from "../control/status.ts";
import { asFault, Fault } from "../core/fault.ts";
import { restoredMark } from "../vault/epochs/rollback-guard.ts";
import { mapBytesOf } from "../vault/open.ts";
import { setAsideIfDamaged } from "../vault/store/check/set-aside.ts";
import { FileWatch } from "../vault/store/file-watch.ts";
import { openLmdbStore } from "../vault/store/lmdb-store.ts";
import { ownDirectory } from "../vault/store/owner.ts";
import { NodeCredentials } from "./credentials.ts";
import { openMetricsDoors } from "./doors/metrics-doors.ts";
import { type LiveConfig, type PreparedReload, reloadCommands } from "./live-config.ts";
import { runNode } from "./node.ts";
import type { Given } from "./parts.ts";
import { readTls, vaultOptionsOf } from "./settings.ts";

/** Why a life as the active member ends that is followed by another as a standby. */
class StandAside {
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }

  toString(): string {
    return this.why;
  }
}

/** A member that has ended its life as the active one and still runs parts of it after this time ends the process. */
const ASIDE_WITHIN_MS = 7_000;

/** Says `standby` on stdout while it is one, and `ready` as any KM. @throws Error when the store is in use or cannot be opened */
export async function runMember(given: Given, cluster: ClusterConfig): Promise<void> {
  const { live, log, stop } = given;
  const config = live.current;
  const release = ownDirectory(config.node.storeDir);
  let holdBackMs = 0;
  try {
    await setAsideIfDamaged(join(config.node.storeDir, "copy"), { log, meter: given.metrics.meter });
    while (!stop.signal.aborted) {
      await using member = await openMember(given, cluster, holdBackMs);
      if (!(await standBy(given, member))) return;
      await beActive(given, member);
      holdBackMs = cluster.leaseS * 1000;
      if (!stop.signal.aborted) log.warn({ member: cluster.member }, "this member stands by again");
    }
  } finally {
    release();
  }
}

function openMember(
  { live, clock, random, log, metrics }: Given,
  cluster: ClusterConfig,
  holdBackMs: number,
): Promise<Member> {
  const config = live.current;
  const { dir, maxBytes } = vaultOptionsOf(config);
  const { member, leaseS } = cluster;
  const etcd = openGateway({
    endpoints: cluster.endpoints.map(({ host, port }) => `https://${host.includes(":") ? `[${host}]` : host}:${port}`),
    tls: readTls(cluster.tls),
    // Two tries within a lease.
    timeoutMs: (leaseS * 1000) / 2,
  });
  const watch = new FileWatch({ clock, log, meter: metrics.meter });
  const openCopy = () => openLmdbStore({ dir: join(dir, "copy"), mapBytes: mapBytesOf(maxBytes), watch });
  const options = { km: config.node.id, member, leaseS, holdBackMs };
  return Member.open(options, { etcd, openCopy, clock, random, log, restored: () => [restoredMark()] });
}

/** Follows the active member until this one is it: false when the stop came first. */
async function standBy(given: Given, member: Member): Promise<boolean> {
  const { live, clock, log, metrics, stop } = given;
  const config = live.current;
  await using parts = new AsyncDisposableStack();
  const health = parts.use(new Health(clock));
  const loop = parts.use(measureLoop(clock));
  const report = (): KmReport => ({
    ...standbyReport(config.node.id),
    cluster: member.report(),
    health: health.read(),
  });
  const own = metricsOf(parts, metrics);
  own.collect(processGauges(loop));
  own.collect(healthGauges(health));
  own.collect(clusterGauges(() => member.report()));
  parts.use(await startControl(config.node.controlSocket, standbyCommands(report, live, stop), log));
  const credentials = new NodeCredentials(config, log);
  await openMetricsDoors({ config, metrics: own, log, credentials }, parts);
  given.condition.from(() => "healthy");
  live.told({ log });
  const end = new AbortController();
  parts.defer(() => end.abort());
  void credentials.watch(end.signal, (tables) => {
    log.info({ event: "credentials_renewed", tables }, "renewed TLS files are in use");
  });
  parts.defer(live.serve(async (next) => standbyReload(given, credentials, next)));
  process.stdout.write("standby\n");
  log.info({ km: config.node.id, ...member.report() }, "this member stands by");
  return await member.becomeActive(stop.signal);
}

async function beActive(given: Given, member: Member): Promise<void> {
  const { clock, log, metrics, stop } = given;
  const life = new AbortController();
  const end = (): void => life.abort(stop.signal.reason);
  stop.signal.addEventListener("abort", end, { once: true });
  void member.lost.then((reason) => life.abort(new StandAside(reason)));
  let forced: NodeJS.Timeout | undefined;
  life.signal.addEventListener("abort", () => {
    forced = setTimeout(() => process.exit(1), ASIDE_WITHIN_MS);
  });
  await using parts = new AsyncDisposableStack();
  const health = parts.use(new Health(clock));
  const isOver = { value: false };
  given.health.part("member", MEMBER_WITHIN_MS, () => isOver.value || health.read().healthy);
  const own = metricsOf(parts, metrics);
  own.collect(clusterGauges(() => member.report()));
  const membership = {
    generation: member.generation,
    openStore: () => member.openStore(),
    report: () => member.report(),
    commands: activeCommands(member, life),
  };
  try {
    await runNode({ ...given, metrics: own, health, stop: life, membership });
  } catch (err) {
    log.error({ err, fault: asFault(err).code }, "this member cannot be the active one");
    life.abort(new StandAside("it cannot be the active one"));
  }
  isOver.value = true;
  clearTimeout(forced);
  stop.signal.removeEventListener("abort", end);
  const { reason } = life.signal;
  if (reason instanceof StandAside) log.warn({ why: reason.why }, "this member is not the active one any more");
  else if (!stop.signal.aborted) stop.abort(reason);
}

/** A life that is silent for so long does not turn. */
const MEMBER_WITHIN_MS = 1_000;

/** Counters go on; what is read at each scrape ends with these parts. */
function metricsOf(parts: AsyncDisposableStack, metrics: Metrics): Metrics {
  let isOver = false;
  parts.defer(() => {
    isOver = true;
  });
  return {
    ...metrics,
    collect: (collector) =>
      metrics.collect((set) => {
        if (!isOver) collector(set);
      }),
  };
}

/** What is not for the metrics' door counts when this member is the active one. */
function standbyReload({ live, log }: Given, credentials: NodeCredentials, next: NodeConfig): PreparedReload {
  const material = credentials.read(next);
  return {
    renewed: material.changed,
    take() {
      if (next.node.logLevel !== live.current.node.logLevel) log.level = next.node.logLevel;
      material.take();
    },
  };
}

function standbyCommands(report: () => KmReport, live: LiveConfig, stop: AbortController): ControlCommands {
  return {
    ...reloadCommands(live),
    status: async () => report(),
    cluster_status: async () => report().cluster,
    cluster_hand_over: async () => {
      throw new Fault("MALFORMED_REQUEST", { text: "this member is a standby: ask the active one to hand over" });
    },
    stop: async () => {
      stop.abort("told to stop");
      return {};
    },
  };
}

const activeCommands = (member: Member, life: AbortController): ControlCommands => ({
  cluster_status: async () => member.report(),
  cluster_hand_over: async () => {
    if (member.report().others.length === 0) {
      throw new Fault("MALFORMED_REQUEST", { text: "no other member runs that could take over; start one first" });
    }
    setImmediate(() => life.abort(new StandAside("it was told to hand over")));
    return {};
  },
});

/** A standby holds no key in memory and looks at no token. */
const standbyReport = (km: KmReport["km"]): KmReport => ({
  km,
  ready: false,
  vault: { token: "gone", store: "ready", mode: "direct", epoch: 0, slots: { all: 0, pinned: 0, intake: 0 } },
  links: [],
  peers: [],
  sessions: { initiator: 0, destination: 0 },
});
