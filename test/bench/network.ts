// KMs in a line with a link between neighbours, for measurements: provisioned in a folder, started and filled as asked.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { host } from "../../boards/host.ts";
import { appFiles, authorityFiles, networkPlaces, type Ports } from "../../src/cli/provision/plan.ts";
import { choosePorts } from "../../src/cli/provision/ports.ts";
import {
  type Authorities,
  authoritiesIn,
  provisionApp,
  provisionIdentity,
  provisionPairingKey,
  provisionToken,
} from "../../src/cli/provision/provision.ts";
import type { TlsMaterial } from "../../src/net/tls/options.ts";
import { Km, type KmSettings } from "./km.ts";
import { Program } from "./program.ts";
import { materialOf, type ServerFiles } from "./reference/args.ts";

const QKM = fileURLToPath(new URL("../../src/cli/qkm.ts", import.meta.url));
/** Each module holds all that its KM has not taken yet, so that both ends get all of it. */
const BUFFER_BLOCKS = 4_096;
const FILL_MS = 120_000;

/** The applications: one at home at the first KM, one at the last. */
export const APPS = { a: "app-a", b: "app-b" } as const;
export type AppName = keyof typeof APPS;
/** A second one at home at the last KM, which never connects. */
export const OTHER_APP = "app-c";

/** Two neighbours. */
export const PAIR = ["km-a", "km-b"] as const;

/** What one KM has. */
export interface Amounts {
  /** KMA-keys that it is the source of. */
  readonly stock: number;
  /** KMA-keys that others are the source of. */
  readonly held: number;
  /** Own link blocks that it can use now, of the link that has least. */
  readonly usable: number;
  readonly synchronised: boolean;
}

interface Link {
  readonly id: string;
  readonly kms: readonly [string, string];
}

const silent = (): void => {};

export class BenchNetwork implements AsyncDisposable {
  readonly dir: string;
  readonly kms: readonly Km[];
  readonly #links: readonly Link[];
  #modules: Program[] = [];

  private constructor(dir: string, kms: readonly Km[], links: readonly Link[]) {
    this.dir = dir;
    this.kms = kms;
    this.#links = links;
  }

  static async provision(
    dir: string,
    nodeFlags: readonly string[],
    ids: readonly string[] = PAIR,
  ): Promise<BenchNetwork> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const places = networkPlaces(dir);
    const authorities = authoritiesIn(places.authorities, silent);
    for (const app of Object.values(APPS)) await provisionApp(authorities, app, appFiles(places.apps, app), silent);
    const links = linksOf(ids);
    for (const link of links) provisionPairingKey(places.pairingKey(link.id), silent);
    const ports = await choosePorts(ids.length);
    const kms = ids.map((id, at) => ({ id, ports: there(ports[at]) }));
    const made = await Promise.all(kms.map((km) => provisionKm({ dir, authorities, kms, links }, km, nodeFlags)));
    return new BenchNetwork(dir, made, links);
  }

  /** The first KM. */
  get a(): Km {
    return there(this.kms[0]);
  }

  /** The last one. */
  get b(): Km {
    return there(this.kms.at(-1));
  }

  /** Where an application is at home. */
  km(app: AppName): Km {
    return app === "a" ? this.a : this.b;
  }

  /** What an application shows and trusts. */
  client(app: AppName): TlsMaterial {
    return materialOf(this.clientFiles(app));
  }

  clientFiles(app: AppName): ServerFiles {
    const places = networkPlaces(this.dir);
    const { cert: certificate, key } = appFiles(places.apps, APPS[app]);
    return { certificate, key, trust: authorityFiles(places.authorities, "km_servers").cert };
  }

  /** What a KM's doors for applications show and trust: a reference server does the same. */
  get server(): ServerFiles {
    const { dir, trust } = this.a.plan;
    return { certificate: join(dir, "tls/server.pem"), key: join(dir, "tls/server.key"), trust: trust.apps };
  }

  /** What a KM shows other KMs. */
  get kx(): ServerFiles {
    const { dir, trust } = this.a.plan;
    return { certificate: join(dir, "tls/kx.pem"), key: join(dir, "tls/kx.key"), trust: trust.kms };
  }

  log(name: string): string {
    return join(this.dir, `${name}.log`);
  }

  /** Of each link; nothing happens when they run. */
  async modulesOn(bitsPerS: number): Promise<void> {
    if (this.#modules.length > 0) return;
    const places = networkPlaces(this.dir);
    this.#modules = await Promise.all(
      this.#links.map(({ id, kms: [one, other] }) => {
        const ends = ["--a", places.module(id, one), "--b", places.module(id, other)];
        const rate = ["--rate-bits-per-s", String(bitsPerS), "--buffer-blocks", String(BUFFER_BLOCKS)];
        const files = ["--run-file", places.runFile(id), "--pairing-key-file", places.pairingKey(id)];
        const args = [QKM, "module", "--link", id, ...ends, ...rate, ...files];
        return Program.start({ args, log: this.log(`modules-${id}`) });
      }),
    );
  }

  /** Processor time of the simulated modules that run. */
  get moduleSeconds(): number {
    return this.#modules.reduce((sum, module) => sum + module.cpuSeconds(), 0);
  }

  async modulesOff(): Promise<void> {
    await Promise.all(this.#modules.splice(0).map((program) => program[Symbol.asyncDispose]()));
  }

  async start(settings: KmSettings): Promise<void> {
    await Promise.all(this.kms.map((km) => km.start(settings)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.kms.map((km) => km.stop()));
  }

  /** Of each KM in their order. */
  async amounts(): Promise<readonly Amounts[]> {
    const reports = await Promise.all(this.kms.map((km) => km.report()));
    return reports.map(({ km, peers, links }) => {
      const others = peers.filter(({ id }) => id !== km);
      return {
        stock: others.reduce((sum, { kmaKeys }) => sum + kmaKeys, 0),
        held: others.reduce((sum, { held }) => sum + held, 0),
        synchronised: others.every(({ synchronised }) => synchronised),
        usable: Math.min(...links.map(({ usable }) => usable)),
      };
    });
  }

  /** Polls until all KMs fit. @throws Error after two minutes */
  async until(what: string, fits: (km: Amounts) => boolean, pauseMs = 100): Promise<void> {
    for (const deadline = performance.now() + FILL_MS; performance.now() < deadline; ) {
      const amounts = await this.amounts();
      if (amounts.every(fits)) return;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    throw new Error(`waited in vain until ${what}; it is ${JSON.stringify(await this.amounts())}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.modulesOff();
  }
}

interface Planned {
  readonly dir: string;
  readonly authorities: Authorities;
  readonly kms: readonly { readonly id: string; readonly ports: Ports }[];
  readonly links: readonly Link[];
}

async function provisionKm(
  { dir, authorities, kms, links }: Planned,
  { id, ports }: Planned["kms"][number],
  nodeFlags: readonly string[],
): Promise<Km> {
  const places = networkPlaces(dir);
  const node = places.node(id);
  await provisionIdentity(authorities, { id, dir: node, hosts: ["127.0.0.1"] }, silent);
  const token = provisionToken(id, node, host, silent);
  const trust = {
    apps: authorityFiles(places.authorities, "apps").cert,
    kms: authorityFiles(places.authorities, "kms").cert,
  };
  const own = links
    .filter((link) => link.kms.includes(id))
    .map((link) => ({
      id: link.id,
      peer: there(link.kms.find((other) => other !== id)),
      port: places.module(link.id, id),
      pairingKey: places.pairingKey(link.id),
    }));
  const peers = kms
    .filter((other) => other.id !== id)
    .map((other) => ({ id: other.id, address: `127.0.0.1:${other.ports.kx}` }));
  const apps = [
    { id: APPS.a, home: there(kms[0]).id },
    { id: APPS.b, home: there(kms.at(-1)).id },
    { id: OTHER_APP, home: there(kms.at(-1)).id },
  ];
  const topology = links.filter((link) => !link.kms.includes(id));
  return new Km({ id, dir: node, ports, ...token, trust, links: own, peers, apps, topology }, nodeFlags);
}

/** `ab` between km-a and km-b, and so on. */
const linksOf = (ids: readonly string[]): readonly Link[] =>
  ids.slice(1).map((other, at) => {
    const one = there(ids[at]);
    return { id: `${one.slice(-1)}${other.slice(-1)}`, kms: [one, other] };
  });

/** @throws Error when it is not there */
function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a part of the network is missing");
  return value;
}
