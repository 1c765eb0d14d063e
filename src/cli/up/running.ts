// The reference network while it runs: its processes, network.json, and what its KMs say of themselves.

import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BOARDS } from "../../../boards/index.ts";
import { loadConfig } from "../../config/read.ts";
import type { Endpoint, LinkConfig, NodeConfig } from "../../config.ts";
import type { KmReport } from "../../control/status.ts";
import { type KeyCounts, keyCounts, statusOf } from "../common/control.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { KM_FLAGS } from "../common/km-flags.ts";
import { type NetworkFile, type NetworkKm, writeAtomically } from "../common/network.ts";
import { clientUrl, type EtcdPlan, etcdArgs, installEtcd } from "../provision/etcd.ts";
import { MORE_DOOR_NAMES } from "../provision/more-doors.ts";
import { endpointText } from "../provision/node-toml.ts";
import {
  AUTHORITIES,
  appFiles,
  authorityFiles,
  CONTROLLER,
  controllerFiles,
  DOORS,
  type LinkPlan,
  networkPlaces,
  nodePlaces,
  REFERENCE,
  stationsOf,
} from "../provision/plan.ts";
import { isFree } from "../provision/ports.ts";
import { votersIn } from "../provision/reference.ts";
import { Child, type ChildEvents, type ChildPlan } from "./child.ts";
import type { Ownership } from "./owner.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));
const QKM = fileURLToPath(new URL("../qkm.ts", import.meta.url));
const FAULTS_KEPT = 20;
const STATUS_TIMEOUT_MS = 2_000;
/** KMs write the names, modules the numbers. */
const FAULT_LEVELS: readonly unknown[] = ["warn", "error", "fatal", 40, 50, 60];

/** One machine: a KM, or one member of a KM that has several. */
export interface RunningKm {
  /** Of the KM, or `km-b.1`. */
  readonly id: string;
  readonly km: string;
  readonly config: NodeConfig;
  readonly child: Child;
  /** What it said last; undefined while it does not answer. */
  status: KmReport | undefined;
  counts: KeyCounts | undefined;
}

/** A link whose simulated modules run. */
export interface RunningLink extends LinkPlan {
  readonly child: Child;
}

/** Something that went wrong, from a log or from a process that died. */
export interface RecentFault {
  readonly at: Date;
  readonly where: string;
  readonly sentence: string;
}

/** What `qkm up` was asked for. */
export interface UpOptions {
  readonly dir: string;
  /** Of each simulated link. */
  readonly rateBitsPerS: number;
  /** More options for the simulated modules. */
  readonly moduleOptions: readonly string[];
  /** Of km-b. */
  readonly members: number;
}

/** A voter of etcd. */
interface RunningVoter {
  readonly url: string;
  readonly child: Child;
}

/** The processes of a reference network; at dispose they end, the KMs first. */
export class RunningNetwork implements AsyncDisposable {
  readonly dir: string;
  readonly kms: readonly RunningKm[];
  readonly links: readonly RunningLink[];
  readonly voters: readonly RunningVoter[];
  readonly faults: RecentFault[] = [];
  readonly #ownership: Ownership;
  #published = false;

  private constructor(options: UpOptions, configs: readonly NodeConfig[], ownership: Ownership) {
    this.dir = options.dir;
    this.#ownership = ownership;
    const events: ChildEvents = {
      ready: () => this.#changed(),
      died: (child, how) => this.#fault(child.plan.name, `ended (${how}) and is started again`),
      logged: (child, line) => this.#logged(child.plan.name, line),
    };
    this.links = REFERENCE.links.map((link) => ({
      ...link,
      child: new Child(linkPlan(options, link, configs), events),
    }));
    const etcd = votersIn(options.dir);
    this.voters = (options.members > 1 ? etcd : []).map((plan) => ({
      url: clientUrl(plan),
      child: new Child(voterPlan(options.dir, plan, etcd), { ...events, logged: () => {} }),
    }));
    this.kms = configs.map((config) => ({
      id: nameOf(config),
      km: config.node.id,
      config,
      child: new Child(kmPlan(config), events),
      status: undefined,
      counts: undefined,
    }));
    this.#noteChildren();
  }

  /** Starts all processes of a provisioned folder. @throws ConfigError; CommandError when a port is taken */
  static async start(options: UpOptions, ownership: Ownership): Promise<RunningNetwork> {
    const places = networkPlaces(options.dir);
    rmSync(places.network, { force: true });
    const known = { boards: Object.keys(BOARDS) };
    const configs = stationsOf(options.members).map(({ name }) =>
      loadConfig(nodePlaces(places.node(name)).config, known),
    );
    await checkPorts(configs);
    return new RunningNetwork(options, configs, ownership);
  }

  get #children(): readonly Child[] {
    return [...this.links, ...this.voters, ...this.kms].map(({ child }) => child);
  }

  /** Resolves when every process listens; rejects when one cannot start. */
  async listening(): Promise<void> {
    await Promise.all(this.#children.map(({ started }) => started));
  }

  /** Asks every KM for its status. */
  async pollStatus(): Promise<void> {
    const ask = async (km: RunningKm) => {
      km.status = await statusOf(km.config.node.controlSocket, STATUS_TIMEOUT_MS).catch(() => undefined);
    };
    await Promise.all(this.kms.map(ask));
  }

  /** Asks every KM how many keys it has supplied. */
  async pollCounts(): Promise<void> {
    const ask = async (km: RunningKm) => {
      km.counts = await keyCounts(metricsUrl(km.config)).catch(() => undefined);
    };
    await Promise.all(this.kms.map(ask));
  }

  /** What is not ready to be served without waiting, a sentence each; after `pollStatus`. */
  lacking(): readonly string[] {
    return this.#active().flatMap(({ id, status }) => {
      if (!status?.ready) return [`${id} does not answer yet`];
      return status.peers.flatMap((peer) => {
        if (!peer.reachable || (peer.synchronised && peer.storedKeys > 0)) return [];
        return [`${id} has no key yet for ${peer.id === id ? "its own applications" : peer.id}`];
      });
    });
  }

  /** Writes network.json from now on, after each change; faults of the start are forgotten. */
  publish(): void {
    this.faults.length = 0;
    this.#published = true;
    this.#changed();
  }

  #changed(): void {
    this.#noteChildren();
    if (this.#published) writeAtomically(networkPlaces(this.dir).network, this.#file());
  }

  #noteChildren(): void {
    this.#ownership.children(this.#children.map(({ pid }) => pid).filter((pid) => pid > 0));
  }

  /** One machine of each KM: of several members the active one, and the first while none is. */
  #active(): readonly RunningKm[] {
    const kms = Map.groupBy(this.kms, ({ km }) => km).values();
    // One that was stopped by force may still count as active: the last that said so is.
    const last = (machines: readonly RunningKm[]) =>
      machines.filter(isActive).toSorted((a, b) => b.child.saidMs - a.child.saidMs)[0] ?? machines[0];
    return [...kms].flatMap((machines) => last(machines) ?? []);
  }

  #file(): NetworkFile {
    const { authorities, apps, controllers } = networkPlaces(this.dir);
    return {
      kms: this.#active().map((active) => {
        const members = this.kms.filter(({ km }) => km === active.km);
        const listed = members.map((member) => ({
          ...networkKm(member),
          active: member === active && isActive(member),
        }));
        return { ...networkKm(active), id: active.km, ...(members.length > 1 && { members: listed }) };
      }),
      ...(this.voters.length > 0 && { etcd: this.voters.map(({ url, child }) => ({ pid: child.latestPid, url })) }),
      links: this.links.map(({ id, kms, child }) => ({ id, kms, pid: child.latestPid })),
      apps: REFERENCE.kms.flatMap((km) => km.apps.map((id) => ({ id, km: km.id, ...appFiles(apps, id) }))),
      ca: Object.fromEntries(
        AUTHORITIES.map((name) => [name, authorityFiles(authorities, name).cert]),
      ) as NetworkFile["ca"],
      controller: controllerFiles(controllers, CONTROLLER),
    };
  }

  #logged(where: string, line: string): void {
    try {
      const { level, time, message, msg } = JSON.parse(line);
      if (FAULT_LEVELS.includes(level)) this.#fault(where, String(message ?? msg), new Date(time));
    } catch {
      if (line.trim() !== "") this.#fault(where, line.trim());
    }
  }

  #fault(where: string, sentence: string, at = new Date()): void {
    this.faults.push({ at, where, sentence });
    if (this.faults.length > FAULTS_KEPT) this.faults.shift();
  }

  /** Ends the KMs, then their modules. */
  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(networkPlaces(this.dir).network, { force: true });
    this.#published = false;
    await Promise.all(this.kms.map(({ child }) => child[Symbol.asyncDispose]()));
    await Promise.all([...this.links, ...this.voters].map(({ child }) => child[Symbol.asyncDispose]()));
  }
}

const networkKm = ({ id, config, child }: RunningKm): NetworkKm => ({
  id,
  pid: child.latestPid,
  config: config.file,
  ak: config.ak.listen,
  kx: config.kx.listen,
  etsi014: { url: `https://${positionText(config.etsi014.listen)}` },
  metrics: { url: metricsUrl(config) },
  ...(config.controller && { controller: { url: `https://${positionText(config.controller.listen)}` } }),
  ...(config.etsi004 && { etsi004: config.etsi004.listen }),
  ...(config.etsi020 && { etsi020: { url: `https://${positionText(config.etsi020.listen)}` } }),
  ...(config.etsi015 && { etsi015: { url: `https://${positionText(config.etsi015.listen)}` } }),
  ...(config.skip && { skip: { url: `https://${positionText(config.skip.listen)}` } }),
});

/** A member says `standby` when it is none any more. */
const isActive = ({ child }: RunningKm): boolean => child.said === "ready";

const nameOf = ({ node, cluster }: NodeConfig): string => (cluster ? `${node.id}.${cluster.member}` : node.id);

const positionText = ({ host, port }: Endpoint): string => endpointText(host, port);
const metricsUrl = (config: NodeConfig): string => `http://${positionText(config.metrics.listen)}/metrics`;

function kmPlan(config: NodeConfig) {
  const dir = dirname(config.file);
  const readyWhen = config.cluster === undefined ? /\bready\b/ : /\b(?:ready|standby)\b/;
  return { name: nameOf(config), readyWhen, args: [...KM_FLAGS, MAIN, config.file], log: nodePlaces(dir).log };
}

/** Ended with us by the kernel, for etcd watches no pipe. */
function voterPlan(dir: string, plan: EtcdPlan, all: readonly EtcdPlan[]) {
  mkdirSync(plan.dir, { recursive: true, mode: 0o700 });
  const etcd = [installEtcd(() => {}), ...etcdArgs(plan, all, networkPlaces(dir).authorities)];
  return {
    name: plan.name,
    program: "setpriv",
    args: ["--pdeathsig", "KILL", ...etcd],
    readyWhen: /serving client traffic securely/,
    log: join(plan.dir, "etcd.log"),
  };
}

/** The process at both ends of a link: its modules, or a vendor's boxes where the configuration has such. */
function linkPlan(options: UpOptions, plan: LinkPlan, configs: readonly NodeConfig[]): ChildPlan {
  const { id } = plan;
  const at = (km: string) => configs.find(({ node }) => node.id === km)?.links.find((one) => one.id === id);
  const [a, b] = [at(plan.kms[0]), at(plan.kms[1])];
  const special = a?.options.box && b?.options.box ? boxArgs(options, a, b) : moduleArgs(options, plan, a);
  const [command = "", ...further] = special;
  // What the command line says of modules counts more.
  const args = [QKM, command, "--link", id, "--rate-bits-per-s", String(options.rateBitsPerS), ...further];
  return { name: `link ${id}`, readyWhen: /\bready\b/, args, log: networkPlaces(options.dir).linkLog(id) };
}

function moduleArgs({ dir, moduleOptions }: UpOptions, { id, kms: [a, b] }: LinkPlan, link: LinkConfig | undefined) {
  const places = networkPlaces(dir);
  const paths = ["--a", places.module(id, a), "--b", places.module(id, b), "--run-file", places.runFile(id)];
  const key = link?.options.pairing_key_file === undefined ? [] : ["--pairing-key-file", link.options.pairing_key_file];
  const size = link === undefined ? [] : ["--block-bytes", String(link.blockBytes)];
  return ["module", ...paths, ...key, ...size, ...moduleOptions];
}

function boxArgs({ dir }: UpOptions, a: LinkConfig, b: LinkConfig) {
  const place = ({ port }: LinkConfig): string => port.split("://")[1] ?? port;
  const names = ["--sae-a", a.options.box?.local ?? "", "--sae-b", b.options.box?.local ?? ""];
  const papers = ["--papers", networkPlaces(dir).boxes(a.id)];
  return ["boxes", "--kind", a.driver, "--a", place(a), "--b", place(b), ...papers, ...names];
}

/** Of a door that the configuration does not have. */
const NOWHERE: Endpoint = { host: "127.0.0.1", port: 0 };

async function checkPorts(configs: readonly NodeConfig[]): Promise<void> {
  for (const { file, ...config } of configs) {
    for (const table of [...DOORS, ...MORE_DOOR_NAMES]) {
      const { host, port } = config[table]?.listen ?? NOWHERE;
      if (port !== 0 && !(await isFree(port, host))) {
        const remedy = `end that program, or change [${table}] in ${file}`;
        throw new CommandError(EXIT.unavailable, `another program listens on ${endpointText(host, port)}: ${remedy}.`);
      }
    }
  }
}
