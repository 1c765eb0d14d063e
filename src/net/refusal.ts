// Why a connection is refused, and how a certificate is named in logs.

import type { TLSSocket } from "node:tls";
import type { Fault } from "../core/fault.ts";
import { alertWords } from "./tls/alert-words.ts";

/** What Node makes of the peer's certificate. */
export type Certificate = NonNullable<ReturnType<TLSSocket["getPeerX509Certificate"]>>;

/** The `reason` label of `connections_refused`, with the sentence for the log. */
export const REFUSALS = {
  no_certificate: "the peer sent no certificate",
  expired: "the certificate has expired",
  not_yet_valid: "the certificate is not valid yet: compare the clocks",
  unknown_ca: "the certificate is not signed by the trust anchor of this listener",
  certificate: "the certificate does not verify",
  identity: "the certificate does not have exactly one identity of the kind wanted here",
  revoked: "the certificate is revoked",
  crl: "require_crl wants a valid revocation list of its authority, and there is none",
  not_admitted: "the identity is not admitted here",
  group: "the peer offers no key exchange group that is allowed here",
  psk: "the PSK identity is not known here",
  handshake: "the TLS handshake failed",
  timeout: "the TLS handshake took too long",
  displaced: "it was silent while others waited, or came from the address with most of those who wait",
  too_many: "there are as many connections as allowed, and this identity has its share of them",
  share: "another identity had fewer connections and needed the place of this open one",
  idle: "this open one had sent nothing for long, and its identity has another",
} as const;

/** Why a connection is refused, as counters and log name it. */
export type RefusalReason = keyof typeof REFUSALS;

/** A connection that may not be: thrown while it is examined, logged and counted in one place. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: RefusalReason;
  /** Why an identity is not admitted. */
  readonly fault: Fault | undefined;

  constructor(reason: RefusalReason, detail?: string, fault?: Fault) {
    super(detail === undefined ? REFUSALS[reason] : `${REFUSALS[reason]}: ${detail}`);
    this.reason = reason;
    this.fault = fault;
  }
}

/** The refusal that OpenSSL's verdict about a certificate means. */
export function refusalOfVerdict(verdict: string): Refusal {
  return new Refusal(VERDICTS[verdict] ?? "certificate", verdict);
}

/** What OpenSSL makes of plain text, such as an answer of HTTP. */
const NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL/;

/** The refusal that an error during the handshake means. */
export function refusalOfError(error: Error): Refusal {
  const code = "code" in error ? String(error.code) : error.message;
  if (code === "ERR_SSL_PSK_IDENTITY_NOT_FOUND") return new Refusal("psk");
  if (NO_TLS.test(code))
    return new Refusal("handshake", `what listens there speaks no TLS: compare the port (${code})`);
  const words = alertWords(error);
  if (words !== undefined) return new Refusal("handshake", words);
  return new Refusal(/KEY_SHARE|SHARED_GROUP/.test(code) ? "group" : "handshake", code);
}

const VERDICTS: Readonly<Record<string, RefusalReason>> = {
  CERT_HAS_EXPIRED: "expired",
  CERT_NOT_YET_VALID: "not_yet_valid",
  DEPTH_ZERO_SELF_SIGNED_CERT: "unknown_ca",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown_ca",
  UNABLE_TO_GET_ISSUER_CERT: "unknown_ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown_ca",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown_ca",
};

/** Log fields that tell which certificate it was. */
export const certificateFields = (certificate: Certificate | undefined): Readonly<Record<string, unknown>> =>
  certificate === undefined
    ? {}
    : {
        subject: oneLine(certificate.subject),
        serial: certificate.serialNumber,
        sha256: certificate.fingerprint256,
        san: certificate.subjectAltName,
        validTo: certificate.validTo,
      };

const LONGEST_NAME = 200;

/** Who a certificate says it is, for the audit log; undefined where there was none. */
export function nameIn({ san, subject }: Readonly<Record<string, unknown>>): string | undefined {
  const name = san ?? subject;
  return name === undefined ? undefined : String(name).slice(0, LONGEST_NAME);
}

/** The same in one line. */
export const certificateLine = (certificate: Certificate): string =>
  `${oneLine(certificate.subject)} serial ${certificate.serialNumber} SHA-256 ${certificate.fingerprint256}`;

/** Node prints one attribute per line, and nothing at all for an empty subject. */
const oneLine = (subject: string | undefined): string => (subject ?? "").replaceAll("\n", ", ");
