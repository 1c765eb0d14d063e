// Two KMs with one link between them, for measurements: provisioned in a folder, started and filled as asked.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { host } from "../../boards/host.ts";
import { appFiles, authorityFiles, networkPlaces } from "../../src/cli/provision/plan.ts";
import { choosePorts } from "../../src/cli/provision/ports.ts";
import {
  authoritiesIn,
  provisionApp,
  provisionIdentity,
  provisionPairingKey,
  provisionToken,
} from "../../src/cli/provision/provision.ts";
import type { TlsMaterial } from "../../src/net/options.ts";
import { Km, type KmSettings } from "./km.ts";
import { Program } from "./program.ts";

const QKM = fileURLToPath(new URL("../../src/cli/qkm.ts", import.meta.url));
const IDS = ["km-a", "km-b"] as const;
const LINK = "ab";
/** Each module holds all that its KM has not taken yet, so that both ends get all of it. */
const BUFFER_BLOCKS = 4_096;
const FILL_MS = 120_000;

/** The applications: one at home at each KM. */
export const APPS = { a: "app-a", b: "app-b" } as const;

/** What one KM has. */
export interface Amounts {
  /** KMA-keys that it is the source of. */
  readonly stock: number;
  /** KMA-keys that the other is the source of. */
  readonly held: number;
  /** Own link blocks that it can use now. */
  readonly usable: number;
  readonly synchronised: boolean;
}

const silent = (): void => {};

export class BenchNetwork implements AsyncDisposable {
  readonly a: Km;
  readonly b: Km;
  readonly #dir: string;
  #modules: Program | undefined;

  private constructor(dir: string, [a, b]: readonly [Km, Km]) {
    this.#dir = dir;
    this.a = a;
    this.b = b;
  }

  static async provision(dir: string, nodeFlags: readonly string[]): Promise<BenchNetwork> {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const places = networkPlaces(dir);
    const authorities = authoritiesIn(places.authorities, silent);
    const trust = {
      apps: authorityFiles(places.authorities, "apps").cert,
      kms: authorityFiles(places.authorities, "kms").cert,
    };
    for (const app of Object.values(APPS)) await provisionApp(authorities, app, appFiles(places.apps, app), silent);
    provisionPairingKey(places.pairingKey(LINK), silent);
    const ports = await choosePorts(IDS.length);
    const kms = await Promise.all(
      IDS.map(async (id, at) => {
        const own = ports[at];
        const [peer, peerPorts] = [IDS[1 - at], ports[1 - at]];
        if (own === undefined || peer === undefined || peerPorts === undefined) throw new Error("ports are missing");
        const node = places.node(id);
        await provisionIdentity(authorities, { id, dir: node, hosts: ["127.0.0.1"] }, silent);
        const token = provisionToken(id, node, host, silent);
        const links = [{ id: LINK, peer, port: places.module(LINK, id), pairingKey: places.pairingKey(LINK) }];
        const apps = [
          { id: APPS.a, home: IDS[0] },
          { id: APPS.b, home: IDS[1] },
        ];
        const peers = [{ id: peer, address: `127.0.0.1:${peerPorts.kx}` }];
        return new Km({ id, dir: node, ports: own, ...token, trust, links, peers, apps }, nodeFlags);
      }),
    );
    const [a, b] = kms;
    if (a === undefined || b === undefined) throw new Error("two KMs were planned");
    return new BenchNetwork(dir, [a, b]);
  }

  /** What an application shows and trusts. */
  client(app: keyof typeof APPS): TlsMaterial {
    const places = networkPlaces(this.#dir);
    const files = appFiles(places.apps, APPS[app]);
    return material(files.cert, files.key, authorityFiles(places.authorities, "km_servers").cert);
  }

  /** What a KM's doors for applications show and trust: a reference server does the same. */
  get server(): { readonly certificate: string; readonly key: string; readonly trust: string } {
    const { dir, trust } = this.a.plan;
    return { certificate: join(dir, "tls/server.pem"), key: join(dir, "tls/server.key"), trust: trust.apps };
  }

  log(name: string): string {
    return join(this.#dir, `${name}.log`);
  }

  async modulesOn(bitsPerS: number): Promise<void> {
    if (this.#modules !== undefined) return;
    const places = networkPlaces(this.#dir);
    const ends = ["--a", places.module(LINK, IDS[0]), "--b", places.module(LINK, IDS[1])];
    const rate = ["--rate-bits-per-s", String(bitsPerS), "--buffer-blocks", String(BUFFER_BLOCKS)];
    const files = ["--run-file", places.runFile(LINK), "--pairing-key-file", places.pairingKey(LINK)];
    const args = [QKM, "module", "--link", LINK, ...ends, ...rate, ...files];
    this.#modules = await Program.start({ args, log: this.log("modules") });
  }

  async modulesOff(): Promise<void> {
    await this.#modules?.[Symbol.asyncDispose]();
    this.#modules = undefined;
  }

  async start(settings: KmSettings): Promise<void> {
    await Promise.all([this.a.start(settings), this.b.start(settings)]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.a.stop(), this.b.stop()]);
  }

  async amounts(): Promise<readonly Amounts[]> {
    const reports = await Promise.all([this.a.report(), this.b.report()]);
    return reports.map(({ km, peers, links }) => {
      const peer = peers.find(({ id }) => id !== km);
      const { kmaKeys: stock = 0, held = 0, synchronised = false } = peer ?? {};
      return { stock, held, synchronised, usable: links[0]?.usable ?? 0 };
    });
  }

  /** Polls until both KMs fit. @throws Error after two minutes */
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

const material = (certificate: string, key: string, trust: string): TlsMaterial => ({
  certificate: readFileSync(certificate, "utf8"),
  key: readFileSync(key, "utf8"),
  trust: readFileSync(trust, "utf8"),
});
