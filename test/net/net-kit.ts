// What the tests of src/net share: a listener with its certificates, and clients that are not our own.

import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { Fault } from "../../src/core/fault.ts";
import type { Channel } from "../../src/net/channel.ts";
import { type DialOptions, dial } from "../../src/net/dial.ts";
import { listen } from "../../src/net/listen.ts";
import type { ListenOptions } from "../../src/net/tls/options.ts";
import type { Listener } from "../../src/net/tls-listener.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { ModelAudit } from "../support/model-audit.ts";
import { type Recorder, recorder } from "../support/recorder.ts";

/** Two trust anchors and the certificates that most tests need. */
export interface Papers {
  readonly apps: Authority;
  readonly kms: Authority;
  readonly app: Credentials;
  readonly km: Credentials;
}

export async function papers(): Promise<Papers> {
  const [apps, kms] = await Promise.all([authority("apps"), authority("kms")]);
  const [app, km] = await Promise.all([forIdentity(apps, "app", "app-a1"), forIdentity(kms, "km", "km-a")]);
  return { apps, kms, app, km };
}

/** A door of km-a for applications; only app-a… are admitted. */
export interface Door extends AsyncDisposable {
  readonly listener: Listener;
  readonly seen: Recorder;
  readonly audit: ModelAudit;
  readonly channels: Channel[];
  dial(own: Credentials, options?: Partial<DialOptions>): Promise<Channel>;
  /** A plain TLS client, its handshake under way. */
  connect(options?: ConnectionOptions): TLSSocket;
}

export async function openDoor(own: Papers, options: Partial<ListenOptions> = {}): Promise<Door> {
  const seen = recorder();
  const audit = new ModelAudit();
  const channels: Channel[] = [];
  const listener = await listen(
    {
      door: "ak",
      host: "127.0.0.1",
      port: 0,
      kind: "app",
      tls: material(own.km, own.apps),
      groups: ["X25519MLKEM768", "X25519"],
      maxConnections: 50,
      ...options,
    },
    {
      ...seen,
      audit,
      admit: (id) => (/^app-a/.test(id) ? undefined : new Fault("UNKNOWN_APPLICATION")),
      opened: (channel) => void channels.push(channel),
    },
  );
  const { host, port } = listener;
  return {
    listener,
    seen,
    audit,
    channels,
    dial: (credentials, more) =>
      dial(
        {
          ...{ door: "client", host, port, kind: "km", expect: "km-a", groups: ["X25519MLKEM768"] },
          tls: material(credentials, own.kms),
          ...more,
        },
        recorder(),
      ),
    connect: (more) =>
      connect({ host, port, ca: own.kms.pem, checkServerIdentity: () => undefined, ...more }).on("error", () => {}),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

/** Resolves when the socket is gone, however. */
export async function gone(socket: TLSSocket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.resume().once("close", resolve));
}
