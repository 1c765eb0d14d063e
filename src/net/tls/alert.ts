// A TLS alert of our own choice after the handshake (RFC 8446 6): why somebody is refused, so that his own log says it.
//
// Node tells OpenSSL to let every certificate pass and judges it later, when it has no way left to send an alert but
// close_notify. So this makes the record: the first one under the server's traffic secret, which OpenSSL gives to whoever
// listens for key log lines. It may be sent only while OpenSSL has sent no record under that secret: no ticket, no data.

import { createCipheriv, createHmac } from "node:crypto";
import type { Server, TLSSocket } from "node:tls";
import type { RefusalReason } from "../refusal.ts";

/** RFC 8446 6.2. */
const ALERTS: Partial<Readonly<Record<RefusalReason, number>>> = {
  certificate: 42,
  revoked: 44,
  expired: 45,
  not_yet_valid: 45,
  identity: 46,
  crl: 46,
  unknown_ca: 48,
  not_admitted: 49,
  too_many: 80,
  no_certificate: 116,
};

const FATAL = 2;
const ALERT_RECORD = 21;
const TAG_BYTES = 16;
const IV_BYTES = 12;

interface Suite {
  readonly cipher: "aes-256-gcm" | "aes-128-gcm";
  readonly keyBytes: number;
  readonly hash: string;
}

const SUITES: Readonly<Record<string, Suite>> = {
  TLS_AES_256_GCM_SHA384: { cipher: "aes-256-gcm", keyBytes: 32, hash: "sha384" },
  TLS_AES_128_GCM_SHA256: { cipher: "aes-128-gcm", keyBytes: 16, hash: "sha256" },
};

const SECRET_LINE = "SERVER_TRAFFIC_SECRET_0 ";

/** The secrets of handshakes that are under way, each until it is taken. */
export class TrafficSecrets {
  readonly #secrets = new WeakMap<TLSSocket, Buffer>();

  /** `seen` is told of each socket that has said its ServerHello. */
  constructor(server: Server, seen: (socket: TLSSocket) => void) {
    server.on("keylog", (line, socket) => {
      if (line.subarray(0, SECRET_LINE.length).equals(PREFIX)) this.#secrets.set(socket, secretIn(line));
      line.fill(0);
      seen(socket);
    });
  }

  /** The record with which a socket refuses, if there is an alert for that reason. The secret is zero afterwards. */
  alert(socket: TLSSocket, reason: RefusalReason): Buffer | undefined {
    const secret = this.#secrets.get(socket);
    const [description, suite] = [ALERTS[reason], SUITES[socket.getCipher().name]];
    try {
      if (secret === undefined || description === undefined || suite === undefined) return undefined;
      return alertRecord(suite, secret, description);
    } finally {
      this.forget(socket);
    }
  }

  /** Zeroes the secret of a socket that is let in. */
  forget(socket: TLSSocket): void {
    this.#secrets.get(socket)?.fill(0);
    this.#secrets.delete(socket);
  }
}

const PREFIX = Buffer.from(SECRET_LINE);

/** The last word of a line, in hexadecimal, as bytes; no string is made of it. */
function secretIn(line: Buffer): Buffer {
  const start = line.lastIndexOf(" ") + 1;
  const secret = Buffer.alloc((line.length - start) >> 1);
  for (let at = 0; at < secret.length; at++) {
    secret[at] = (digit(line[start + 2 * at]) << 4) | digit(line[start + 2 * at + 1]);
  }
  return secret;
}

/** The value of a hexadecimal digit's letter. */
const digit = (letter = 0x30): number => (letter & 15) + (letter > 0x39 ? 9 : 0);

/** The record as the suite protects it, with sequence number 0 (RFC 8446 5.2). */
function alertRecord(suite: Suite, secret: Buffer, description: number): Buffer {
  const key = expanded(suite.hash, secret, { label: "key", bytes: suite.keyBytes });
  const iv = expanded(suite.hash, secret, { label: "iv", bytes: IV_BYTES });
  const inner = Buffer.from([FATAL, description, ALERT_RECORD]);
  const header = Buffer.from([23, 3, 3, 0, inner.length + TAG_BYTES]);
  const cipher = createCipheriv(suite.cipher, key, iv).setAAD(header);
  const record = Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
  key.fill(0);
  return record;
}

/** HKDF-Expand-Label without context (RFC 8446 7.1), of one block at most. */
function expanded(hash: string, secret: Buffer, wanted: { readonly label: string; readonly bytes: number }): Buffer {
  const label = Buffer.from(`tls13 ${wanted.label}`);
  const info = Buffer.from([0, wanted.bytes, label.length, ...label, 0, 1]);
  return createHmac(hash, secret).update(info).digest().subarray(0, wanted.bytes);
}
