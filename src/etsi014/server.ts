// The ETSI GS QKD 014 door: HTTPS, on which each application is who its certificate says.

import type { Fault } from "../core/fault.ts";
import type { Limit } from "../core/limits.ts";
import type { Audit } from "../core/ports.ts";
import type { DoorTls } from "../core/tls-choices.ts";
import { Service, type ServicePorts } from "../http/service.ts";
import { listen } from "../net/listen.ts";
import type { Identify } from "../net/tls/certificate-names.ts";
import { type TlsMaterial, tlsOf } from "../net/tls/options.ts";
import { type HandlerPorts, makeHandler } from "./handler.ts";

/** Where the door listens, its TLS material and its limits. */
export interface Etsi014Options extends DoorTls {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts. */
  readonly tls: TlsMaterial;
  readonly maxConnections: Limit;
  /** Additional slaves that a request may name (`max_SAE_ID_count`); 0 for no multicast. */
  readonly mostSlaves: Limit;
  /** Locked memory for answers with keys: one part of 64 KiB at least is well. */
  readonly memory: Uint8Array;
}

/** What the door needs of its node. */
export interface Etsi014Ports extends ServicePorts, Omit<HandlerPorts, "mostSlaves"> {
  /** Whether the application of a certificate may connect: one that is homed here. */
  readonly admit: (id: string) => Fault | undefined;
  /** Knows applications by certificates of other makes. */
  readonly identify?: Identify | undefined;
  /** An application's certificate was revoked. */
  readonly disowned?: (id: string) => void;
  readonly audit?: Audit;
}

/** The open door; dispose it to close it in order. */
export interface Etsi014Server extends AsyncDisposable {
  readonly port: number;
  /** Connections open or on their way. */
  readonly connections: number;
}

/**
 * Listens; dispose drains requests under way, then closes.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startEtsi014(options: Etsi014Options, ports: Etsi014Ports): Promise<Etsi014Server> {
  const { tls, maxConnections, mostSlaves } = options;
  const handler = makeHandler({ ...ports, mostSlaves });
  const service = new Service({ door: "etsi014", memory: options.memory }, ports, handler);
  const listener = await listen(
    { ...options.listen, door: "etsi014", tls, kind: "app", ...tlsOf(options), maxConnections },
    {
      ...ports,
      opened: (channel) => service.connected(channel),
      turnAway: (channel, fault) => service.connected(channel, fault),
    },
  );
  return {
    port: listener.port,
    get connections() {
      return listener.connections;
    },
    async [Symbol.asyncDispose]() {
      await service.stop();
      await listener[Symbol.asyncDispose]();
    },
  };
}
