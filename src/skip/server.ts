// The door for encryptors that speak Cisco SKIP: HTTPS, on which each is who its certificate or its pre-shared key says.
//
//   encryptor 1 ── /key?remoteSystemID=B ──> this KM          the other KM <── /key/{keyId}?remoteSystemID=A ── encryptor 2
//        │                                     └── the key is shared as any other ──┘                               ^
//        └──────────────────────── keyId, over IKEv2 (RFC 8784) or the like ────────────────────────────────────────┘

import type { Fault } from "../core/fault.ts";
import type { Limit } from "../core/limits.ts";
import type { Audit } from "../core/ports.ts";
import type { DoorTls } from "../core/tls-choices.ts";
import { Service, type ServicePorts } from "../http/service.ts";
import { listen } from "../net/listen.ts";
import type { Identify } from "../net/tls/certificate-names.ts";
import { type TlsMaterial, tlsOf } from "../net/tls/options.ts";
import type { PreSharedKeys } from "../net/tls/pre-shared.ts";
import { type HandlerPorts, makeHandler, type Systems } from "./handler.ts";

/** Where the door listens, whom it knows, and with what. */
export interface SkipOptions extends DoorTls {
  /** Port 0 is any free port. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts, for encryptors with certificates (TLS 1.3). */
  readonly tls: TlsMaterial;
  /** For encryptors without (TLS 1.2, DHE_PSK); it may change. */
  readonly preShared: PreSharedKeys;
  /** Refuses clients with certificates and without X25519MLKEM768. */
  readonly requireHybrid: boolean;
  readonly maxConnections: Limit;
  /** Read anew with each request. */
  readonly systems: Systems;
  /** Locked memory for answers with keys. */
  readonly memory: Uint8Array;
}

/** What the door works with. */
export interface SkipPorts extends ServicePorts, HandlerPorts {
  /** Whether an application may connect: one that is homed here. */
  readonly admit: (id: string) => Fault | undefined;
  /** Knows applications by certificates of other makes. */
  readonly identify?: Identify | undefined;
  /** An application's certificate was revoked. */
  readonly disowned?: (id: string) => void;
  readonly audit?: Audit;
}

/** The door while it is open. */
export interface SkipServer extends AsyncDisposable {
  readonly port: number;
  /** Connections open or on their way. */
  readonly connections: number;
}

/**
 * Listens; dispose drains requests under way, then closes.
 * @throws Error when the address cannot be listened on, or the certificates cannot be used
 */
export async function startSkip(options: SkipOptions, ports: SkipPorts): Promise<SkipServer> {
  const { tls, maxConnections, memory, preShared, systems } = options;
  const service = new Service({ door: "skip", memory }, ports, makeHandler(systems, ports));
  const listener = await listen(
    {
      ...options.listen,
      door: "skip",
      tls,
      kind: "app",
      ...tlsOf(options),
      maxConnections,
      preShared,
    },
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
