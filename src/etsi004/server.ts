// The door for key streams (ETSI GS QKD 004): TLS, on which each application is who its certificate says.
//
// The standard has calls and no wire format. Two are spoken here, told apart by the version in each frame: see frames.ts.

import type { Limit } from "../core/limits.ts";
import type { DoorTls } from "../core/tls-choices.ts";
import { listen } from "../net/listen.ts";
import { type NetPorts, type TlsMaterial, tlsOf } from "../net/tls/options.ts";
import type { Listener } from "../net/tls-listener.ts";
import { SupplyRing } from "../wire/ring.ts";
import { type ConnectionPorts, Etsi004Connection } from "./connection.ts";

/** Where the door listens, and its certificates. */
export interface Etsi004Options extends DoorTls {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts. */
  readonly tls: TlsMaterial;
  readonly maxConnections: Limit;
  /** Locked memory for answers with key: a power of two, 128 KiB at least. */
  readonly memory: Uint8Array;
}

/** `admit` knows the applications that are homed here. */
export type Etsi004Ports = Omit<NetPorts, "turnAway"> & Omit<ConnectionPorts, "ring">;

/**
 * Listens; dispose ends all connections and what waits in them. Streams stay.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export function startEtsi004(options: Etsi004Options, ports: Etsi004Ports): Promise<Listener> {
  const { listen: where, tls, maxConnections, memory } = options;
  const connectionPorts: ConnectionPorts = { ...ports, ring: new SupplyRing(memory) };
  return listen(
    { ...where, door: "etsi004", tls, kind: "app", ...tlsOf(options), maxConnections },
    { ...ports, opened: (channel) => void new Etsi004Connection(channel, connectionPorts) },
  );
}
