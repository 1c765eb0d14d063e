// What the tests over real TLS share: an Ak door with a key manager of the tests behind it, and applications.

import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type AkClient, type AkClientOptions, connectAk } from "../../src/ak/client.ts";
import { type AkOptions, startAk } from "../../src/ak/server.ts";
import { systemClock } from "../../src/control/system.ts";
import { Fault } from "../../src/core/fault.ts";
import { kmId } from "../../src/core/ids.ts";
import type { Listener } from "../../src/net/tls-listener.ts";
import { SupplyRing } from "../../src/wire/ring.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { FakeDoor } from "./fake-door.ts";
import { FakeSessions } from "./fake-sessions.ts";

export interface Papers {
  readonly apps: Authority;
  readonly kms: Authority;
  readonly a1: Credentials;
  readonly c1: Credentials;
  readonly km: Credentials;
}

export async function papers(): Promise<Papers> {
  const [apps, kms] = await Promise.all([authority("apps"), authority("kms")]);
  const [a1, c1, km] = await Promise.all([
    forIdentity(apps, "app", "app-a1"),
    forIdentity(apps, "app", "app-c1"),
    forIdentity(kms, "km", "km-a"),
  ]);
  return { apps, kms, a1, c1, km };
}

/** The Ak door of km-a, home of app-a1 and app-c1. */
export interface AkDoor extends AsyncDisposable {
  readonly listener: Listener;
  readonly keys: FakeDoor;
  readonly sessions: FakeSessions;
  readonly seen: Recorder;
  readonly ring: SupplyRing;
  client(own: Credentials, options?: Partial<AkClientOptions>): Promise<AkClient>;
  /** A plain TLS connection, for frames that no client of ours sends. */
  socket(own: Credentials, options?: ConnectionOptions): TLSSocket;
}

export async function openAk(own: Papers, options: Partial<AkOptions> = {}): Promise<AkDoor> {
  const keys = new FakeDoor();
  const sessions = new FakeSessions();
  const seen = recorder();
  const ring = new SupplyRing(new Uint8Array(0x4_0000));
  const tls = material(own.km, own.apps);
  const listener = await startAk(
    { listen: { host: "127.0.0.1", port: 0 }, tls, requireHybrid: false, maxConnections: 50, ...options },
    {
      ...seen,
      door: keys,
      sessions,
      clock: systemClock,
      ring,
      admit: (id) =>
        ["app-a1", "app-c1"].includes(id)
          ? undefined
          : new Fault(id === "app-b1" ? "NOT_AT_HOME" : "UNKNOWN_APPLICATION"),
    },
  );
  const { host, port } = listener;
  return {
    listener,
    keys,
    sessions,
    seen,
    ring,
    client: (credentials, more) =>
      connectAk({ host, port, km: kmId("km-a"), tls: material(credentials, own.kms), ...more }),
    socket: ({ certificate, key }, more) =>
      connect({
        host,
        port,
        cert: certificate,
        key,
        ca: own.kms.pem,
        checkServerIdentity: () => undefined,
        ...more,
      }).on("error", () => {}),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}
