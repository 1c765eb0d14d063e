// The door for key streams over real TLS.

import { Fault } from "../../src/core/fault.ts";
import { startEtsi004 } from "../../src/etsi004/server.ts";
import type { Listener } from "../../src/net/tls-listener.ts";
import { type Papers, papers } from "../skip/kit.ts";
import { material } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { Client, type Dialect } from "./client.ts";
import { FakeStreams } from "./fake-streams.ts";

export { type Papers, papers };

export interface OpenDoor extends AsyncDisposable {
  readonly listener: Listener;
  readonly streams: FakeStreams;
  readonly clock: ManualClock;
  readonly memory: Uint8Array;
  readonly told: Recorder;
  /** As app-a1. */
  connect(dialect: Dialect): Promise<Client>;
}

/** A door of km-a, where app-a1 is at home. */
export async function openDoor(net: Papers): Promise<OpenDoor> {
  const streams = new FakeStreams();
  const clock = new ManualClock();
  const memory = new Uint8Array(131_072);
  const told = recorder();
  const admit = (id: string) => (id === "app-a1" ? undefined : new Fault("UNKNOWN_APPLICATION"));
  const listener = await startEtsi004(
    {
      listen: { host: "127.0.0.1", port: 0 },
      tls: material(net.km, net.apps),
      requireHybrid: false,
      maxConnections: 50,
      memory,
    },
    { streams, clock, log: told.log, meter: told.meter, admit },
  );
  const { host, port } = listener;
  const own = { cert: net.app.certificate, key: net.app.key, ca: net.servers.pem };
  return {
    ...{ listener, streams, clock, memory, told },
    connect: (dialect) => Client.connect(dialect, { host, port, ...own }),
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}
