// What listeners and diallers are told, and the TLS settings that all of them share.

import { constants } from "node:crypto";
import type { SecureContextOptions, TLSSocket } from "node:tls";
import type { Fault } from "../../core/fault.ts";
import type { Limit } from "../../core/limits.ts";
import type { Audit, Log, Meter } from "../../core/ports.ts";
import {
  CLEANSE_PLAINTEXT,
  type DoorTls,
  type Group,
  type MinTls,
  SUITES_1_2,
  SUITES_1_3,
  type Suite,
} from "../../core/tls-choices.ts";
import type { ArrivalLimits } from "../arrival.ts";
import type { Identify } from "./certificate-names.ts";
import type { Admit, PeerKind } from "./identity.ts";
import type { PreSharedKeys } from "./pre-shared.ts";

/** Own certificate (chain), its private key, who may sign the peer's, and what those have revoked: PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
  /** Revocation lists, each of an authority in `trust`. */
  readonly crl?: readonly string[];
  /** Whether nobody is let in whose authority has no list here that is still valid. */
  readonly requireCrl?: boolean;
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
  /** TLS 1.3 unless said otherwise. */
  readonly minTls?: MinTls;
  /** AES-256-GCM unless said otherwise. */
  readonly ciphers?: readonly Suite[];
  /** Keys come in here: OpenSSL zeroes what it has decrypted when that was read. */
  readonly bringsKeys?: boolean;
  readonly timing?: Partial<Timing>;
}

/** What a door is told of TLS, with its defaults. */
export function tlsOf(door: DoorTls): Required<Pick<SecureOptions, "groups" | "minTls" | "ciphers">> {
  const { requireHybrid, groups = [], minTls = "1.3", ciphers = [] } = door;
  const usual = requireHybrid ? (["X25519MLKEM768"] as const) : (["X25519MLKEM768", "X25519"] as const);
  const [first, ...others] = groups;
  return { minTls, ciphers, groups: first === undefined ? usual : [first, ...others] };
}

/** Where to listen, for how many, and who is let in. */
export interface ListenOptions extends SecureOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** Let in, together. Where it falls, nobody is cut off: newcomers make room, or are refused. */
  readonly maxConnections: Limit;
  /** Those of `groups` that are allowed now, the preferred one first; all of them when absent. */
  readonly allowed?: () => readonly [Group, ...Group[]];
  /** Of those that are not yet let in. */
  readonly arrivals?: Partial<ArrivalLimits>;
  /** Who may come without a certificate, over TLS 1.2; asked each time. Without any, nobody. */
  readonly preShared?: PreSharedKeys;
}

/** Log, counters and time of a listener or dialler. */
export interface NetPorts {
  readonly log: Log;
  readonly meter: Meter;
  readonly audit?: Audit;
  readonly admit: Admit;
  /** Whether who was let in may stay when the configuration has changed. Without it applications are asked `admit` again, and others stay. */
  readonly mayStay?: Admit;
  /** Knows applications by certificates of other makes. */
  readonly identify?: Identify | undefined;
  /**
   * Takes who is refused, to tell it so in the door's own words: an application that is at the wrong key manager (`admit` says
   * NOT_AT_HOME), and anybody who came over TLS 1.2, where OpenSSL has no alert left. It has a few seconds, and nothing that it asks
   * may be done. Without this it is refused with an alert, if there is one.
   */
  readonly turnAway?: (socket: TLSSocket, id: string, fault: Fault) => void;
  /** Whoever it was is one no more: the certificate with which it came is revoked, or its authority trusted no more. */
  readonly disowned?: (id: string) => void;
}

/** TLS 1.3 with AES-256-GCM and those groups, nothing else unless the door was told so. */
export function contextOptions(
  {
    tls,
    minTls = "1.3",
    ciphers = [],
    bringsKeys = false,
  }: Pick<SecureOptions, "tls" | "minTls" | "ciphers" | "bringsKeys">,
  groups: readonly Group[],
): SecureContextOptions {
  const usual = minTls === "1.3" ? STRONG_1_3 : [...STRONG_1_3, ...STRONG_1_2];
  return {
    cert: tls.certificate,
    key: tls.key,
    ca: tls.trust,
    minVersion: `TLSv${minTls}`,
    maxVersion: "TLSv1.3",
    ciphers: (ciphers.length === 0 ? usual : ciphers).join(":"),
    ecdhCurve: groups.join(":"),
    // TLS 1.2: nothing is resumed or renegotiated there, as nothing is in TLS 1.3.
    secureOptions: (minTls === "1.2" ? NOTHING_AGAIN : 0) | (bringsKeys ? CLEANSE_PLAINTEXT : 0),
  };
}

const NOTHING_AGAIN = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;
const STRONG_1_3 = SUITES_1_3.filter((suite) => suite.includes("AES_256"));
const STRONG_1_2 = SUITES_1_2.filter((suite) => suite.includes("AES256"));
