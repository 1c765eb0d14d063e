// Two gateways in network namespaces of this machine, joined by a cable, each with a network behind it.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { App } from "../../system/support/app.ts";
import { eventually } from "../../system/support/eventually.ts";
import { need } from "../../tokens/support/debian.ts";
import { guideDir, type Ran, run } from "./guide.ts";

const ip = (...args: readonly string[]): string | undefined => {
  const { status, stderr, error } = spawnSync("ip", args, { encoding: "utf8" });
  return status === 0 ? undefined : `ip ${args.join(" ")}: ${error?.message ?? stderr.trim()}`;
};

/** Why two gateways with these programs cannot be made here; undefined when they can. Installs what is missing. */
export function whyNoGateways(packages: readonly string[], files: readonly string[]): string | undefined {
  const probe = `qkm-probe-${process.pid}`;
  try {
    need(["iproute2", ...packages], ["/usr/sbin/ip", ...files]);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message.split("\n")[0] : String(thrown);
  }
  try {
    if (!existsSync("/dev/net/tun")) return "this kernel has no /dev/net/tun";
    return (
      ip("netns", "add", probe) ??
      ip("-n", probe, "link", "add", "name", "end-a", "type", "veth", "peer", "name", "end-b")
    );
  } finally {
    ip("netns", "del", probe);
  }
}

/** Addresses: of the gateway on the cable, and of the host behind it. */
const SITES = {
  a: { outer: "192.0.2.1", inner: "198.51.100.1", net: "198.51.100.0/25", other: "b" },
  b: { outer: "192.0.2.2", inner: "198.51.100.129", net: "198.51.100.128/25", other: "a" },
} as const;

/** One of the two. */
export type Site = keyof typeof SITES;

const ECHO = "require('net').createServer((s) => s.pipe(s)).listen(7, process.argv[1], () => console.log('up'))";
const HELLO = `const s = require('net').connect({ port: 7, host: process.argv[1], localAddress: process.argv[2] }, () => s.end('hello'));
setTimeout(() => process.exit(1), 10000);
s.on('error', () => process.exit(1)).on('data', (d) => { process.stdout.write(d); process.exit(0); });`;

/** The two gateways; dispose ends what runs in them. */
export class Gateways implements AsyncDisposable {
  readonly #folder = guideDir();
  readonly #processes: ChildProcess[] = [];

  constructor() {
    const [a, b] = [this.namespace("a"), this.namespace("b")];
    const steps = [
      ["netns", "add", a],
      ["netns", "add", b],
      ["link", "add", "name", "cable-a", "netns", a, "type", "veth", "peer", "name", "cable-b", "netns", b],
      ...(["a", "b"] as const).flatMap((site) => {
        const { outer, inner, other } = SITES[site];
        const at = (...args: readonly string[]) => ["-n", this.namespace(site), ...args];
        return [
          at("link", "set", "lo", "up"),
          at("addr", "add", `${inner}/32`, "dev", "lo"),
          at("addr", "add", `${outer}/24`, "dev", `cable-${site}`),
          at("link", "set", `cable-${site}`, "up"),
          at("route", "add", SITES[other].net, "via", SITES[other].outer, "src", inner),
        ];
      }),
    ];
    for (const step of steps) {
      const fault = ip(...step);
      if (fault !== undefined) throw new Error(fault);
    }
    for (const site of ["a", "b"] as const) mkdirSync(this.path(site));
  }

  namespace(site: Site): string {
    return `qkm-${process.pid}-${site}`;
  }

  /** A file of a gateway's own. */
  path(site: Site, ...names: readonly string[]): string {
    return join(this.#folder.path, site, ...names);
  }

  write(site: Site, name: string, text: string): string {
    const path = this.path(site, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** The lines of a script's environment that say how a gateway asks its key manager, as `app`. */
  keyManager(site: Site, { km, tls }: App, other: App): readonly string[] {
    const file = (name: string, text: string) => this.write(site, name, text);
    return [
      `KM=${km.etsiUrl}`,
      `CERT=${file("app.pem", tls.certificate)}`,
      `KEY=${file("app.key", tls.key)}`,
      `CA=${file("ca.pem", tls.trust)}`,
      `OTHER=${other.id}`,
    ];
  }

  /** Runs a program at a gateway to its end. */
  run(site: Site, program: string, ...args: readonly string[]): Promise<Ran> {
    return run("ip", ["netns", "exec", this.namespace(site), program, ...args]);
  }

  /** Starts a program at a gateway; what it says goes to its file `name`. */
  start(
    site: Site,
    name: string,
    [program = "", ...args]: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): void {
    const said = openSync(this.path(site, name), "w");
    const command = ["netns", "exec", this.namespace(site), program, ...args];
    this.#processes.push(spawn("ip", command, { stdio: ["ignore", said, said], env: { ...process.env, ...env } }));
  }

  /** Of `wg set … peer`: where the other gateway is, and what lies behind it. */
  endpoint(site: Site, port: number): readonly string[] {
    const { outer, net } = SITES[SITES[site].other];
    return ["endpoint", `${outer}:${port}`, "allowed-ips", net];
  }

  route(site: Site, ...args: readonly string[]): void {
    const fault = ip(
      "-n",
      this.namespace(site),
      "route",
      "replace",
      SITES[SITES[site].other].net,
      ...args,
      "src",
      SITES[site].inner,
    );
    if (fault !== undefined) throw new Error(fault);
  }

  /** From now on the host behind b gives back what it is sent. */
  listen(): void {
    this.start("b", "echo.log", [process.execPath, "-e", ECHO, SITES.b.inner]);
  }

  /** Whether the host behind a is heard by the one behind b. */
  async reaches(): Promise<boolean> {
    const { stdout } = await this.run("a", process.execPath, "-e", HELLO, SITES.b.inner, SITES.a.inner);
    return stdout === "hello";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) child.kill("SIGTERM");
    await eventually("all programs at the gateways have ended", () =>
      this.#processes.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null),
    ).finally(() => {
      for (const child of this.#processes) child.kill("SIGKILL");
      for (const site of ["a", "b"] as const) {
        ip("netns", "del", this.namespace(site));
        rmSync(this.path(site), { recursive: true, force: true });
      }
      this.#folder[Symbol.dispose]();
    });
  }
}
