// The reference network with km-b as two members on three etcd, its ways to be cut, and applications that know both members.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { host } from "../../../boards/host.ts";
import type { AkClient, AkClientOptions } from "../../../src/ak/client.ts";
import { connectAk } from "../../../src/ak/client.ts";
import { type NetworkFile, type NetworkKm, type NetworkMember, readNetwork } from "../../../src/cli/common/network.ts";
import { etcdClientFiles, installEtcd } from "../../../src/cli/provision/etcd.ts";
import { authorityFiles, networkPlaces, nodePlaces, stationsOf } from "../../../src/cli/provision/plan.ts";
import { provisionReference } from "../../../src/cli/provision/reference.ts";
import { callControl } from "../../../src/control/socket/client.ts";
import type { ClusterReport } from "../../../src/control/status.ts";
import { kmId } from "../../../src/core/ids.ts";
import { type Up, up } from "../../cli/qkm.ts";
import { App } from "../../system/support/app.ts";
import { Sae, type SaeKey, Unreached } from "../../system/support/sae.ts";
import { Way } from "./cut.ts";

const MEMBERS = 2;
/** An application does not wait longer for a member that may be gone. */
const PATIENCE_MS = 3_000;
/** Log lines that are told when a round fails, and how many of them. */
const TROUBLES: readonly unknown[] = ["warn", "error"];
const LAST_TROUBLES = 20;

/** One member of km-b, and what leads to and from it. */
export interface StagedMember {
  readonly name: string;
  readonly dir: string;
  readonly etcdWays: readonly Way[];
  readonly peerWays: readonly Way[];
}

interface Toml {
  peers: { id: string; address: string; further_addresses?: string[] }[];
  cluster?: { endpoints: string[] };
  kx: { listen: string };
  [table: string]: unknown;
}

export class Stage implements AsyncDisposable {
  readonly dir: string;
  readonly members: readonly StagedMember[];
  readonly apps: readonly App[];
  readonly #up: Up;
  readonly #ways: readonly Way[];

  private constructor(dir: string, members: readonly StagedMember[], running: Up, ways: readonly Way[]) {
    this.dir = dir;
    this.members = members;
    this.#up = running;
    this.#ways = ways;
    this.apps = this.network.apps.map(({ id, km: home }) => {
      const km = this.km(home);
      return km.members === undefined ? new App(dir, id, homeOf(km)) : new MembersApp(dir, id, km);
    });
  }

  /** @param small stores of the members get a file system of that size; 0 for none */
  static async start({ smallStoreBytes = 0, rateBitsPerS = 2_000_000 } = {}): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), "qkm-cluster-"));
    installEtcd(() => {});
    await provisionReference(dir, { board: host, basePort: undefined, doors: [], members: MEMBERS }, () => {});
    const ways: Way[] = [];
    const members = await wire(dir, ways);
    if (smallStoreBytes > 0) for (const member of members) mountSmall(join(member.dir, "store"), smallStoreBytes);
    const running = await up(dir, "--cluster", "--rate-bits-per-s", String(rateBitsPerS));
    return new Stage(dir, members, running, ways);
  }

  get network(): NetworkFile {
    return readNetwork(networkPlaces(this.dir).network);
  }

  km(id: string): NetworkKm {
    const found = this.network.kms.find((km) => km.id === id);
    if (found === undefined) throw new Error(`no ${id}`);
    return found;
  }

  /** The members of km-b as the network's file has them. */
  get listed(): readonly NetworkMember[] {
    return this.km("km-b").members ?? [];
  }

  /** @throws Error while none is active */
  get active(): NetworkMember {
    const found = this.listed.find(({ active }) => active);
    if (found === undefined) throw new Error("no member is active");
    return found;
  }

  staged(name: string): StagedMember {
    const found = this.members.find((member) => member.name === name);
    if (found === undefined) throw new Error(`no member ${name}`);
    return found;
  }

  async report(name: string): Promise<ClusterReport> {
    const socket = join(this.staged(name).dir, "control.sock");
    return (await callControl(socket, "cluster_status", {}, 1_000)) as ClusterReport;
  }

  async handOver(name: string): Promise<void> {
    await callControl(join(this.staged(name).dir, "control.sock"), "cluster_hand_over");
  }

  /** The process of etcd's leader. */
  async leader(): Promise<number> {
    for (const { pid, url } of this.network.etcd ?? []) if (await this.#leads(url)) return pid;
    throw new Error("etcd has no leader");
  }

  #leads(url: string): Promise<boolean> {
    const files = etcdClientFiles(networkPlaces(this.dir).node("km-b"));
    const ca = readFileSync(authorityFiles(networkPlaces(this.dir).authorities, "etcd").cert);
    const tls = { cert: readFileSync(files.cert), key: readFileSync(files.key), ca, agent: false, timeout: 1_000 };
    return new Promise((resolve) => {
      const call = request(`${url}/v3/maintenance/status`, { method: "POST", ...tls }, async (answer) => {
        const { header, leader } = JSON.parse(Buffer.concat(await answer.toArray()).toString());
        resolve(leader === header.member_id);
      });
      call.on("timeout", () => call.destroy());
      call.on("error", () => resolve(false));
      call.end("{}");
    });
  }

  /** The last warnings and errors that a member logged. */
  troubles(name: string): readonly Record<string, unknown>[] {
    const path = nodePlaces(networkPlaces(this.dir).node(name)).log;
    const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
    return lines
      .map(lineOf)
      .filter(({ level }) => TROUBLES.includes(level))
      .slice(-LAST_TROUBLES);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const app of this.apps) app[Symbol.dispose]();
    await this.#up[Symbol.asyncDispose]();
    await Promise.all(this.#ways.map((way) => way[Symbol.asyncDispose]()));
    for (const { dir } of this.members) unmountSmall(join(dir, "store"));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A log line; what Node itself writes there is a warning. */
function lineOf(text: string): Record<string, unknown> {
  return text.startsWith("{") ? JSON.parse(text) : { level: "warn", text };
}

const homeOf = ({ id, ak, etsi014 }: NetworkKm) => ({ id, ak, etsiUrl: etsi014.url });
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));

/** Puts a way before every address that a member dials, and before every address at which it is dialled. */
async function wire(dir: string, ways: Way[]): Promise<readonly StagedMember[]> {
  const places = networkPlaces(dir);
  const way = async (address: string): Promise<Way> => {
    const made = await Way.to(portOf(address));
    ways.push(made);
    return made;
  };
  const configOf = (name: string) => nodePlaces(places.node(name)).config;
  const read = (name: string) => parse(readFileSync(configOf(name), "utf8")) as unknown as Toml;
  const write = (name: string, toml: Toml) => writeFileSync(configOf(name), stringify(toml));
  const toMember = new Map<string, Way[]>();
  const members: StagedMember[] = [];
  for (const { name, member } of stationsOf(MEMBERS)) {
    if (member === undefined) continue;
    const toml = read(name);
    const etcdWays = await Promise.all((toml.cluster?.endpoints ?? []).map(way));
    const peerWays = await Promise.all(toml.peers.map(({ address }) => way(address)));
    if (toml.cluster) toml.cluster.endpoints = etcdWays.map(({ port }) => `127.0.0.1:${port}`);
    for (const [at, peer] of toml.peers.entries()) peer.address = `127.0.0.1:${peerWays[at]?.port}`;
    write(name, toml);
    toMember.set(toml.kx.listen, peerWays);
    members.push({ name, dir: places.node(name), etcdWays, peerWays });
  }
  for (const { name, member } of stationsOf(MEMBERS)) {
    if (member !== undefined) continue;
    const toml = read(name);
    for (const peer of toml.peers.filter(({ id }) => id === "km-b")) {
      const addresses = [peer.address, ...(peer.further_addresses ?? [])];
      const own = await Promise.all(addresses.map(way));
      for (const [at, address] of addresses.entries()) {
        const [through] = own.slice(at, at + 1);
        if (through !== undefined) toMember.get(address)?.push(through);
      }
      const [first = "", ...further] = own.map(({ port }) => `127.0.0.1:${port}`);
      Object.assign(peer, { address: first, further_addresses: further });
    }
    write(name, toml);
  }
  return members;
}

function mountSmall(path: string, bytes: number): void {
  execFileSync("mkdir", ["-p", path]);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path]);
}

function unmountSmall(path: string): void {
  if (readFileSync("/proc/mounts", "utf8").includes(` ${path} `)) execFileSync("umount", [path]);
}

/** An application whose KM has several members: it asks them in turn, and none for long. */
class MembersApp extends App {
  readonly #saes: readonly Sae[];
  readonly #addresses: readonly NetworkKm["ak"][];
  /** Told of keys that came when nobody waited for them any more. */
  late: (destination: string, keys: readonly SaeKey[]) => void = () => {};

  constructor(dir: string, id: string, km: NetworkKm) {
    super(dir, id, homeOf(km));
    const { certificate: cert, key, trust: ca } = this.tls;
    this.#addresses = (km.members ?? []).map(({ ak }) => ak);
    this.#saes = (km.members ?? []).map(({ etsi014 }) => new Sae({ url: etsi014.url, cert, key, ca }));
  }

  override encKeys(destination: string, wish: { readonly number?: number; readonly size?: number } = {}) {
    return this.#inTurn(
      (sae) => sae.encKeys(destination, wish),
      (keys) => this.late(destination, keys),
    );
  }

  override decKeys(initiator: string, ids: readonly string[]) {
    return this.#inTurn(
      (sae) => sae.decKeys(initiator, ids),
      () => {},
    );
  }

  async #inTurn(ask: (sae: Sae) => Promise<SaeKey[]>, late: (keys: SaeKey[]) => void): Promise<SaeKey[]> {
    let failure: unknown = new Unreached("no member");
    for (const sae of this.#saes) {
      try {
        return await within(ask(sae), late);
      } catch (thrown) {
        if (!(thrown instanceof Unreached)) throw thrown;
        failure = thrown;
      }
    }
    throw failure;
  }

  override connectAk(options: Partial<AkClientOptions> = {}): Promise<AkClient> {
    const [first, ...further] = this.#addresses;
    if (first === undefined) throw new Error("no member");
    const where = { ...first, further, tls: this.tls, km: kmId(this.km.id) };
    return connectAk({ timeoutMs: PATIENCE_MS, ...options, ...where });
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    for (const sae of this.#saes) sae[Symbol.dispose]();
  }
}

/** @throws Error when there is no answer in time; what comes later is told to `late` */
function within(answer: Promise<SaeKey[]>, late: (keys: SaeKey[]) => void): Promise<SaeKey[]> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(new Error("no answer in time"));
    }, PATIENCE_MS);
    answer.then(
      (keys) => {
        clearTimeout(timer);
        if (isLate) late(keys);
        else resolve(keys);
      },
      (thrown) => {
        clearTimeout(timer);
        reject(thrown);
      },
    );
  });
}
