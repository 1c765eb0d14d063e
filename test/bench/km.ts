// One KM for measurements: its configuration, its process, what it says of itself.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { host } from "../../boards/host.ts";
import { nodePlaces, type Ports } from "../../src/cli/provision/plan.ts";
import { callControl } from "../../src/control/client.ts";
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
}

/** What differs between measurements. */
export interface KmSettings {
  /** KMA-keys ready for each destination. */
  readonly stock: number;
  readonly keepBlocks: number;
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
    const args = ["--disable-sigusr1", ...this.#nodeFlags, ...flags, MAIN, config];
    this.#program = await Program.start({ args, log });
  }

  async stop(): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    this.#program = undefined;
  }

  async report(): Promise<KmReport> {
    return (await callControl(`${this.plan.dir}/control.sock`, "status")) as KmReport;
  }

  /** A counter of its metrics over all labels. */
  async counted(counter: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.plan.ports.metrics}/metrics`);
    const lines = (await response.text()).split("\n").filter((line) => line.startsWith(`qkm_${counter}_total{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A thousand idle applications and those that measure. */
const MAX_CONNECTIONS = 1_100;

const text = (value: string): string => JSON.stringify(value);

function toml(plan: KmPlan, { stock, keepBlocks }: KmSettings): string {
  const { id, ports, trust, tokenLabel, softhsmConf } = plan;
  const door = (name: "ak" | "kx" | "etsi014") => {
    const own = name === "kx" ? "kx" : "server";
    const files = [`certificate = "tls/${own}.pem"`, `key = "tls/${own}.key"`];
    const anchor = `trust = ${text(name === "kx" ? trust.kms : trust.apps)}`;
    const most = name === "ak" ? [`max_connections = ${MAX_CONNECTIONS}`] : [];
    return [`[${name}]`, `listen = "127.0.0.1:${ports[name]}"`, ...files, anchor, ...most];
  };
  const lines = [
    ...["[node]", `id = ${text(id)}`, 'log_level = "warn"'],
    ...["[token]", `module = ${text(host.token.module)}`, `label = ${text(tokenLabel)}`],
    ...(softhsmConf === undefined ? [] : [`softhsm_conf = ${text(softhsmConf)}`]),
    ...[...door("ak"), ...door("etsi014"), ...door("kx")],
    ...["[metrics]", `listen = "127.0.0.1:${ports.metrics}"`],
    ...["[supply]", `stock_low = ${stock}`, `stock_high = ${stock}`],
    ...["quota_bits_per_s = 1_000_000_000_000", "quota_burst_bits = 1_000_000_000_000"],
    ...plan.links.flatMap((link) => [
      ...["[[links]]", `id = ${text(link.id)}`, `peer = ${text(link.peer)}`, `port = ${text(link.port)}`],
      ...[`pairing_key_file = ${text(link.pairingKey)}`, `keep_blocks = ${keepBlocks}`],
    ]),
    ...plan.peers.flatMap((peer) => ["[[peers]]", `id = ${text(peer.id)}`, `address = ${text(peer.address)}`]),
    ...plan.apps.flatMap((app) => ["[[apps]]", `id = ${text(app.id)}`, `home = ${text(app.home)}`]),
  ];
  return `${lines.join("\n")}\n`;
}
