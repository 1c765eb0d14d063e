// One KM for measurements: its configuration, its process, what it says of itself.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { host } from "../../boards/host.ts";
import { KM_FLAGS } from "../../src/cli/common/km-flags.ts";
import { nodePlaces, type Ports } from "../../src/cli/provision/plan.ts";
import { callControl } from "../../src/control/socket/client.ts";
import type { KmReport } from "../../src/control/status.ts";
import { Program } from "./program.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

export interface KmPlan {
  readonly id: string;
  readonly dir: string;
  readonly ports: Ports;
  readonly tokenLabel: string;
  readonly softhsmConf: string | undefined;
  readonly trust: { readonly apps: string; readonly kms: string };
  readonly links: readonly {
    readonly id: string;
    readonly peer: string;
    readonly port: string;
    readonly pairingKey: string;
  }[];
  readonly peers: readonly { readonly id: string; readonly address: string }[];
  readonly apps: readonly { readonly id: string; readonly home: string }[];
  /** Links between others. */
  readonly topology: readonly { readonly id: string; readonly kms: readonly [string, string] }[];
}

/** What differs between measurements. */
export interface KmSettings {
  /** KMA-keys ready for each destination. */
  readonly stock: number;
  /** Relays begin when so many are left; without it, as soon as one is gone. */
  readonly low?: number;
  readonly keepBlocks: number;
  /** Whether it is told of all links, so that it relays through transit nodes. */
  readonly isRouted?: boolean;
}

export class Km implements AsyncDisposable {
  readonly plan: KmPlan;
  readonly #nodeFlags: readonly string[];
  #settings: KmSettings | undefined;
  #program: Program | undefined;

  /** `nodeFlags`: for example `--cpu-prof`. */
  constructor(plan: KmPlan, nodeFlags: readonly string[]) {
    this.plan = plan;
    this.#nodeFlags = nodeFlags;
  }

  get program(): Program {
    if (this.#program === undefined) throw new Error(`${this.plan.id} does not run`);
    return this.#program;
  }

  /** Resolves when it is ready. Without settings: as the last time. `flags`: for this time. */
  async start(settings = this.#settings ?? { stock: 1, keepBlocks: 2 }, flags: readonly string[] = []): Promise<void> {
    this.#settings = settings;
    const { config, log } = nodePlaces(this.plan.dir);
    writeFileSync(config, toml(this.plan, settings), { mode: 0o600 });
    const args = [...KM_FLAGS, ...this.#nodeFlags, ...flags, MAIN, config];
    this.#program = await Program.start({ args, log });
  }

  async stop(): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    this.#program = undefined;
  }

  async report(): Promise<KmReport> {
    return (await callControl(`${this.plan.dir}/control.sock`, "status")) as KmReport;
  }

  /** A counter of its metrics over all labels, or of one peer. */
  async counted(counter: string, peer?: string): Promise<number> {
    const lines = (await this.#metrics()).filter((line) => line.startsWith(`qkm_${counter}_total{`));
    const those = peer === undefined ? lines : lines.filter((line) => line.includes(`peer="${peer}"`));
    return those.reduce((sum, line) => sum + numberOf(line), 0);
  }

  /** A gauge by its label. */
  async gauge(name: string, label: string): Promise<number> {
    const line = (await this.#metrics()).find((line) => line.startsWith(`qkm_${name}{`) && line.includes(label));
    if (line === undefined) throw new Error(`${this.plan.id} has no gauge ${name} with ${label}`);
    return numberOf(line);
  }

  async #metrics(): Promise<string[]> {
    const response = await fetch(`http://127.0.0.1:${this.plan.ports.metrics}/metrics`);
    return (await response.text()).split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

const numberOf = (line: string): number => Number(line.slice(line.lastIndexOf(" ") + 1));

/** A thousand idle applications and those that measure. */
const MAX_CONNECTIONS = 1_100;
/** An application that opens more than twice as many in ten seconds is slowed down: `etsi014-new-tls` opens hundreds a second. */
const MOST_CONNECTIONS = 10_000;

const text = (value: string): string => JSON.stringify(value);

/** Keys that were supplied and that nobody fetches: ten millions of them in the longest figure. */
const MAX_HELD = 16_384;
const STORE_MAX_BYTES = 2 ** 32;

function toml(plan: KmPlan, { stock, low = stock, keepBlocks, isRouted = false }: KmSettings): string {
  const { id, ports, trust, tokenLabel, softhsmConf } = plan;
  const door = (name: "ak" | "kx" | "etsi014") => {
    const own = name === "kx" ? "kx" : "server";
    const files = [`certificate = "tls/${own}.pem"`, `key = "tls/${own}.key"`];
    const anchor = `trust = ${text(name === "kx" ? trust.kms : trust.apps)}`;
    const most = name === "kx" ? [] : [`max_connections = ${name === "ak" ? MAX_CONNECTIONS : MOST_CONNECTIONS}`];
    return [`[${name}]`, `listen = "127.0.0.1:${ports[name]}"`, ...files, anchor, ...most];
  };
  const lines = [
    ...["[node]", `id = ${text(id)}`, 'log_level = "warn"', `store_max_bytes = ${STORE_MAX_BYTES}`],
    ...["[token]", `module = ${text(host.token.module)}`, `label = ${text(tokenLabel)}`],
    ...(softhsmConf === undefined ? [] : [`softhsm_conf = ${text(softhsmConf)}`]),
    ...[...door("ak"), ...door("etsi014"), ...door("kx")],
    ...["[metrics]", `listen = "127.0.0.1:${ports.metrics}"`],
    ...["[supply]", `stock_low = ${low}`, `stock_high = ${stock}`, `max_held = ${MAX_HELD}`],
    ...["quota_bits_per_s = 1_000_000_000_000", "quota_burst_bits = 1_000_000_000_000"],
    ...plan.links.flatMap((link) => [
      ...["[[links]]", `id = ${text(link.id)}`, `peer = ${text(link.peer)}`, `port = ${text(link.port)}`],
      ...[`pairing_key_file = ${text(link.pairingKey)}`, `keep_blocks = ${keepBlocks}`],
    ]),
    ...plan.peers.flatMap((peer) => ["[[peers]]", `id = ${text(peer.id)}`, `address = ${text(peer.address)}`]),
    ...(isRouted ? plan.topology : []).flatMap((link) => [
      ...["[[topology]]", `link = ${text(link.id)}`, `kms = [${link.kms.map(text).join(", ")}]`],
    ]),
    ...plan.apps.flatMap((app) => ["[[apps]]", `id = ${text(app.id)}`, `home = ${text(app.home)}`]),
  ];
  return `${lines.join("\n")}\n`;
}
