// The SKIP door over real TLS, and encryptors that are not our own code.

import { spawn, spawnSync } from "node:child_process";
import { type RequestOptions, request } from "node:https";
import { Fault } from "../../src/core/fault.ts";
import type { AppId } from "../../src/core/ids.ts";
import { secretOf } from "../../src/core/memory/secret.ts";
import { type SkipOptions, type SkipServer, startSkip } from "../../src/skip/server.ts";
import { FakeDoor } from "../etsi014/fake-door.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";

export const PSK = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

export interface Papers {
  readonly servers: Authority;
  readonly km: Credentials;
  readonly app: Credentials;
  readonly apps: Authority;
}

export async function papers(): Promise<Papers> {
  const [servers, apps] = await Promise.all([authority("servers"), authority("apps")]);
  const [km, app] = await Promise.all([forIdentity(servers, "km", "km-a"), forIdentity(apps, "app", "app-a1")]);
  return { servers, apps, km, app };
}

export interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface OpenSkip extends AsyncDisposable {
  readonly server: SkipServer;
  readonly door: FakeDoor;
  readonly memory: Uint8Array;
  readonly told: Recorder;
  /** With the certificate of app-a1, unless said otherwise. */
  ask(path: string, more?: RequestOptions): Promise<Reply>;
}

/** A door of km-a, where app-a1 is at home; router 1 is app-a1 too, and router 9 stands for an application that is not. */
export async function openSkip(net: Papers, tls: Pick<SkipOptions, "minTls"> = {}): Promise<OpenSkip> {
  const door = new FakeDoor();
  const memory = new Uint8Array(65_536);
  const told = recorder();
  const server = await startSkip(
    {
      listen: { host: "127.0.0.1", port: 0 },
      tls: material(net.km, net.apps),
      preShared: new Map([
        ["router 1", { id: "app-a1", key: secretOf(Buffer.from(PSK, "hex")) }],
        ["router 9", { id: "app-x9", key: secretOf(Buffer.from(PSK, "hex")) }],
      ]),
      ...tls,
      requireHybrid: false,
      maxConnections: 50,
      systems: {
        local: "km-a",
        remotes: [
          { system: "km-b", app: "app-b1" as AppId },
          { system: "KP_*_C", app: "app-c1" as AppId },
        ],
      },
      memory,
    },
    {
      ...{ door, clock: new ManualClock(), log: told.log, meter: told.meter },
      admit: (id) => (id === "app-a1" ? undefined : new Fault(id === "app-c1" ? "NOT_AT_HOME" : "UNKNOWN_APPLICATION")),
    },
  );
  const own = { cert: net.app.certificate, key: net.app.key, ca: net.servers.pem, agent: false as const };
  return {
    server,
    door,
    memory,
    told,
    ask: (path, more = {}) => asked({ host: "127.0.0.1", port: server.port, path, ...own, ...more }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export function asked(options: RequestOptions): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asking = request(options, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    asking.on("error", reject);
    asking.end();
  });
}

export const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

/** What the distribution's openssl says and is told as a client: both of its outputs. */
export function opensslAsks(port: number, args: readonly string[], path = "/capabilities"): Promise<string> {
  const child = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-quiet", ...args]);
  return new Promise((resolve) => {
    let text = "";
    for (const output of [child.stdout, child.stderr]) {
      output.on("data", (chunk) => {
        text += chunk;
      });
    }
    child.once("close", () => resolve(text));
    child.stdin.on("error", () => {});
    child.stdin.end(`GET ${path} HTTP/1.1\r\nHost: km-a\r\nConnection: close\r\n\r\n`);
  });
}

/** What a router without a certificate does: the distribution's openssl, with a pre-shared key. */
export function routerAsks(port: number, path: string, identity = "router 1", psk = PSK): Promise<string> {
  const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-psk_identity", identity, "-psk", psk];
  return new Promise((resolve) => {
    const child = spawn("openssl", [...args, "-tls1_2", "-quiet"], { stdio: ["pipe", "pipe", "ignore"] });
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.once("close", () => resolve(text));
    child.stdin.on("error", () => {});
    // `-quiet` goes on after the end of its input, until the door closes.
    child.stdin.end(`GET ${path} HTTP/1.1\r\nHost: km-a\r\nConnection: close\r\n\r\n`);
  });
}
