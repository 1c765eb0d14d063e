// Pre-shared keys in place of certificates: TLS 1.2 with DHE_PSK (RFC 4279, RFC 5487), which routers speak.

import { constants } from "node:crypto";
import type { TLSSocket, TlsOptions } from "node:tls";
import type { Secret } from "../../core/memory/secret.ts";

/** Who a PSK identity stands for, and the key that proves it. */
export interface PreSharedKey {
  /** As a certificate would have it: the ID of an application. */
  readonly id: string;
  readonly key: Secret;
}

/** The identity that a socket has shown, and whom it stands for. */
export interface ShownKey {
  readonly identity: string;
  readonly key: PreSharedKey;
}

/** By PSK identity. */
export type PreSharedKeys = ReadonlyMap<string, PreSharedKey>;

/** How logs and metrics name the key exchange. */
export const DHE_PSK = "DHE-PSK";

/** The cipher suites allowed, by their codes, the preferred one first. */
const SUITES = {
  "DHE-PSK-AES256-GCM-SHA384": 0x00ab,
  "DHE-PSK-AES256-CBC-SHA384": 0x00b3,
} as const;

/** Whether a client offers one of the suites. */
export const offersPsk = (suites: readonly number[]): boolean =>
  Object.values(SUITES).some((suite) => suites.includes(suite));

/**
 * TLS 1.2 with these suites and nothing else. `shown` is told of the identity that a socket claims, and says whether it may go on; that
 * it has the key is proved when its handshake has ended. Whoever may not is told that its identity is unknown.
 */
export const pskOptions = (
  keys: PreSharedKeys,
  shown: (socket: TLSSocket, identity: string, key: PreSharedKey) => boolean,
): TlsOptions => ({
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.2",
  ciphers: Object.keys(SUITES).join(":"),
  // OpenSSL chooses a group of RFC 7919 as strong as the cipher.
  dhparam: "auto",
  // A resumed or renegotiated session would show no identity.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  pskCallback(socket, identity) {
    const found = keys.get(identity);
    if (found === undefined) return null;
    // The types say Socket.
    return shown(socket as TLSSocket, identity, found) ? lentCopy(found.key) : null;
  },
});

/** A copy that is zeroed as soon as OpenSSL has its own. */
function lentCopy(key: Secret): Uint8Array {
  const copy = key.lend((bytes) => Uint8Array.from(bytes));
  setImmediate(() => copy.fill(0));
  return copy;
}
