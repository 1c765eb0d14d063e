// The Ak door: TLS, on which each application is who its certificate says, and who handles each connection.

import type { Limit } from "../core/limits.ts";
import type { DoorTls } from "../core/tls-choices.ts";
import { listen } from "../net/listen.ts";
import { type NetPorts, type Timing, type TlsMaterial, tlsOf } from "../net/tls/options.ts";
import type { Listener } from "../net/tls-listener.ts";
import { BufferPool } from "../wire/buffer-pool.ts";
import { AkConnection, type ConnectionPorts } from "./connection.ts";
import { TurnedAway } from "./turned-away.ts";

/** Where the door listens, its TLS material and its limits. */
export interface AkOptions extends DoorTls {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts. */
  readonly tls: TlsMaterial;
  readonly maxConnections: Limit;
  readonly timing?: Partial<Timing>;
}

/** `ring` is shared by all connections; `admit` knows the applications that are homed here. */
export type AkPorts = Omit<NetPorts, "turnAway"> & Omit<ConnectionPorts, "buffers">;

/**
 * Listens; dispose ends all connections, and what waits in them.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export function startAk(options: AkOptions, ports: AkPorts): Promise<Listener> {
  const { listen: where, tls, maxConnections, timing = {} } = options;
  const connectionPorts: ConnectionPorts = { ...ports, buffers: new BufferPool(maxConnections) };
  return listen(
    { ...where, door: "ak", tls, kind: "app", ...tlsOf(options), maxConnections, timing },
    {
      ...ports,
      opened: (channel) => void new AkConnection(channel, connectionPorts),
      turnAway: (channel, fault) => void new TurnedAway(channel, fault),
    },
  );
}
