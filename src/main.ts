// The process of one KM: reads its configuration, writes its log, listens to signals, runs it.
//
//   node src/main.ts NODE.toml      says `ready` on stdout when all listen; the log is JSON lines on stderr

import { readFileSync } from "node:fs";
import type { Board } from "../boards/board.ts";
import { BOARDS } from "../boards/index.ts";
import { openLinuxIndicators } from "../drivers/indicators/linux.ts";
import { openSystemd } from "../drivers/systemd/notify.ts";
import { openLinuxWatchdog } from "../drivers/watchdog/linux.ts";
import { EXIT } from "./cli/common/exit.ts";
import { ConfigError } from "./config/read.ts";
import type { NodeConfig } from "./config.ts";
import { CopiedLog } from "./control/copied-log.ts";
import { ConditionTeller } from "./control/health/condition.ts";
import { Health } from "./control/health/health.ts";
import { WatchdogFeeder, watchdogGauges } from "./control/health/watchdog-feeder.ts";
import { makeLog, openLogFile } from "./control/log.ts";
import { UnrepeatedLog } from "./control/log-repeats.ts";
import { makeMetrics } from "./control/metrics/metrics.ts";
import { RecentFaults } from "./control/recent-faults.ts";
import type { SyslogPorts } from "./control/syslog/syslog.ts";
import { systemClock, systemPace, systemRandom } from "./control/system.ts";
import { asFault, Fault } from "./core/fault.ts";
import type { Log, Random } from "./core/ports.ts";
import type { ConditionDisplay } from "./device/indicators.ts";
import { materialComplaints } from "./node/credentials.ts";
import { LiveConfig } from "./node/live-config.ts";
import { runNode } from "./node/node.ts";
import type { Given } from "./node/parts.ts";
import { limitsOf } from "./node/settings.ts";
import { startFailure } from "./node/start-failure.ts";

const FORCED_EXIT_MS = 7000;

/** Whoever started us with QKM_PARENT_PIPE holds the other end of our stdin: when it is gone, so are we. */
function watchParent(stop: AbortController): void {
  if (process.env.QKM_PARENT_PIPE !== "1") return;
  process.stdin.on("end", () => stop.abort("the process that started this one has ended"));
  process.stdin.on("error", () => stop.abort("the process that started this one has ended"));
  process.stdin.resume();
}

/** Undefined where neither the configuration nor the board names one. @throws Fault WATCHDOG_UNAVAILABLE when it is required */
function armWatchdog({ live: { current: config }, health, clock, log, metrics }: Given): WatchdogFeeder | undefined {
  const { required } = config.watchdog;
  const device = config.watchdog.device ?? boardOf(config.node.board)?.watchdog?.device;
  if (device !== undefined && device !== "none") {
    const ports = { open: openLinuxWatchdog, health, clock, log, meter: metrics.meter };
    const feeder = new WatchdogFeeder({ device, required }, ports);
    metrics.collect(watchdogGauges(feeder));
    return feeder;
  }
  if (!required) return undefined;
  throw new Fault("WATCHDOG_UNAVAILABLE", {
    text: "[watchdog] is required, and neither it nor the board names a device",
  });
}

function boardOf(name: string): Board | undefined {
  const boards: Readonly<Record<string, Board>> = BOARDS;
  return boards[name];
}

/** What shows an operator what this KM is like: the board's lights, and systemd where it started this process. */
function displaysOf({ node }: NodeConfig, log: Log): ConditionDisplay[] {
  const lights = boardOf(node.board)?.indicators ?? [];
  const systemd = openSystemd(process.env);
  return [
    ...(lights.length === 0 ? [] : [openLinuxIndicators(lights, log)]),
    ...(systemd === undefined ? [] : [systemd]),
  ];
}

/** Undefined where the configuration has none; its code is not loaded then. */
async function syslogOf(live: LiveConfig, ports: Omit<SyslogPorts, "fraction"> & { random: Random }) {
  const { node, syslog } = live.current;
  if (syslog === undefined) return undefined;
  const { openSyslog } = await import("./control/syslog/syslog.ts");
  const { server, trust, certificate, key, dir } = syslog;
  const maxBytes = limitsOf(live).syslogBytes;
  const own =
    certificate === undefined || key === undefined
      ? undefined
      : { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  return openSyslog(
    { km: node.id, server: { ...server, trust: readFileSync(trust, "utf8"), own }, dir, maxBytes },
    { ...ports, fraction: () => ports.random.fraction() },
  );
}

async function main(): Promise<void> {
  const [, , file] = process.argv;
  if (file === undefined) throw new Error("usage: main.ts NODE.toml");
  const known = { boards: Object.keys(BOARDS), materials: materialComplaints };
  const live = new LiveConfig(file, known);
  const config = live.current;
  using logFile = openLogFile(2);
  const copied = new CopiedLog(logFile);
  const faults = new RecentFaults(copied);
  using log = new UnrepeatedLog(makeLog(config.node.logLevel, faults), systemClock);
  live.told({ log });
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort(signal));
  process.on("SIGHUP", () => {
    log.info({ signal: "SIGHUP" }, "SIGHUP: the configuration is read again");
    // What is wrong with it is logged.
    live.reload().catch(() => {});
  });
  process.stdout.on("error", () => {});
  stop.signal.addEventListener("abort", () => setTimeout(() => process.exit(1), FORCED_EXIT_MS).unref());
  watchParent(stop);
  process.on("uncaughtException", (err) => {
    // A rule may be broken: nothing more leaves this process. What is durable is as it should be.
    log.error({ err }, "a defect ends this key manager at once; please report it with this line");
    log[Symbol.dispose]();
    logFile[Symbol.dispose]();
    process.exit(EXIT.internal);
  });
  using health = new Health(systemClock);
  using condition = new ConditionTeller(displaysOf(config, log), { health, clock: systemClock });
  const metrics = makeMetrics();
  const world = { clock: systemClock, random: systemRandom, pace: systemPace() };
  await using syslog = await syslogOf(live, { ...world, log, meter: metrics.meter });
  copied.open(syslog);
  if (syslog !== undefined) metrics.collect(syslog.gauges);
  const base: Given = { live, log, faults, metrics, ...world, health, condition, syslog, stop };
  let watchdog: WatchdogFeeder | undefined;
  try {
    watchdog = armWatchdog(base);
    if (config.cluster === undefined) await runNode(base);
    // Loaded by a KM that is several machines alone.
    else await (await import("./node/member.ts")).runMember(base, config.cluster);
  } catch (err) {
    const why = startFailure(err, config);
    const fault = asFault(err).code;
    if (why === undefined) log.error({ err, fault }, "this key manager cannot run");
    else log.error({ fault, why }, `this key manager cannot run: ${why}`);
    process.exitCode = 1;
  }
  // Whoever could end in order needs no reset, not even to say why it cannot run. All other ends leave it armed.
  watchdog?.disarm();
  process.stdin.destroy();
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof ConfigError ? thrown.message : String(thrown)}\n`);
  process.exitCode = EXIT.config;
});
