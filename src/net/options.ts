// What listeners and diallers are told, and the TLS settings that all of them share.

import type { SecureContextOptions, TLSSocket } from "node:tls";
import type { Fault } from "../core/fault.ts";
import type { Audit, Log, Meter } from "../core/ports.ts";
import type { ArrivalLimits } from "./arrivals.ts";
import type { Identify } from "./certificate-names.ts";
import type { Group } from "./client-hello.ts";
import type { Admit, PeerKind } from "./identity.ts";
import type { PreSharedKeys } from "./pre-shared.ts";

/** Own certificate (chain), its private key, and who may sign the peer's: PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** How long a connection may take over what. Milliseconds. */
export interface Timing {
  /** From the connection to the end of the handshake; of those that come in, about. */
  readonly handshakeMs: number;
  /** For the client's answer to the ServerHello. */
  readonly answerMs: number;
  /** For the peer to take what was written. */
  readonly writeMs: number;
  /** Silence after which TCP asks whether the peer is still there; it is given up after about twice that. */
  readonly keepAliveMs: number;
  /** After which a connection that has sent nothing is closed, if its identity has another to the same listener. */
  readonly idleMs: number;
}

/** The times of listeners and diallers unless a test says otherwise. */
export const TIMING: Timing = {
  handshakeMs: 10_000,
  answerMs: 3_000,
  writeMs: 10_000,
  keepAliveMs: 30_000,
  idleMs: 600_000,
};

/** What both ends of TLS need: certificate, key, trust anchor, groups. */
export interface SecureOptions {
  /** The `door` label of counters, and of log lines: `ak`, `etsi014`, `kx`, `controller`. */
  readonly door: string;
  readonly tls: TlsMaterial;
  /** What the peer's certificate has to be of. */
  readonly kind: PeerKind;
  /** Allowed groups, the preferred one first. `["X25519MLKEM768"]` requires the hybrid one. */
  readonly groups: readonly [Group, ...Group[]];
  readonly timing?: Partial<Timing>;
}

/** Where to listen, for how many, and who is let in. */
export interface ListenOptions extends SecureOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Let in, together. */
  readonly maxConnections: number;
  /** Of those that are not yet let in. */
  readonly arrivals?: Partial<ArrivalLimits>;
  /** Who may come without a certificate, over TLS 1.2. Without any, nobody. */
  readonly preShared?: PreSharedKeys;
}

/** Log, counters and time of a listener or dialler. */
export interface NetPorts {
  readonly log: Log;
  readonly meter: Meter;
  readonly audit?: Audit;
  readonly admit: Admit;
  /** Knows applications by certificates of other makes. */
  readonly identify?: Identify | undefined;
  /**
   * Takes an application that is at the wrong key manager (`admit` says NOT_AT_HOME), to tell it so in the door's own words. It has a
   * few seconds. Without this it is refused with an alert.
   */
  readonly turnAway?: (socket: TLSSocket, id: string, fault: Fault) => void;
}

/** TLS 1.3 with AES-256-GCM and those groups, nothing else. */
export const contextOptions = (tls: TlsMaterial, groups: readonly Group[]): SecureContextOptions => ({
  cert: tls.certificate,
  key: tls.key,
  ca: tls.trust,
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_256_GCM_SHA384",
  ecdhCurve: groups.join(":"),
});
