// Certificate authorities and certificates for tests, made in this process.

import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { PeerKind } from "../../src/net/tls/identity.ts";
import type { TlsMaterial } from "../../src/net/tls/options.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 86_400_000;

/** What a certificate says. */
export interface Subject {
  readonly name?: string;
  readonly uris?: readonly string[];
  readonly ips?: readonly string[];
  readonly dns?: readonly string[];
  /** Milliseconds from now; valid from a day ago to a day from now unless given. */
  readonly fromMs?: number;
  readonly untilMs?: number;
}

/** A certificate and its private key, PEM. */
export interface Credentials {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** The authority's own certificate, PEM: a trust anchor. */
  readonly pem: string;
  issue(subject: Subject): Promise<Credentials>;
  /** Its revocation list, PEM, with these certificates on it. */
  revoke(certificates: readonly Credentials[], options?: ListOptions): Promise<string>;
}

/** Of a revocation list. */
export interface ListOptions {
  /** From now to the next list; a day unless given. */
  readonly untilMs?: number;
  /** Object IDs of critical extensions. */
  readonly critical?: readonly string[];
}

/** A new certificate authority on P-256. */
export async function authority(name: string): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name}`,
    ...validity({}),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    pem: certificate.toString("pem"),
    issue: (subject) => issue(subject, certificate.subject, keys.privateKey),
    revoke: (revoked, options) => listOf(revoked, { issuer: certificate.subject, key: keys.privateKey, ...options }),
  };
}

async function listOf(
  revoked: readonly Credentials[],
  { issuer, key, untilMs = DAY_MS, critical = [] }: ListOptions & { issuer: string; key: webcrypto.CryptoKey },
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer,
    thisUpdate: new Date(Date.now() - DAY_MS),
    nextUpdate: new Date(Date.now() + untilMs),
    entries: revoked.map(({ certificate }) => ({
      serialNumber: new x509.X509Certificate(certificate).serialNumber,
      reason: x509.X509CrlReason.keyCompromise,
    })),
    extensions: critical.map((oid) => new x509.Extension(oid, true, Buffer.from([0x02, 0x01, 0x01]))),
    signingKey: key,
    signingAlgorithm: ALGORITHM,
  });
  return list.toString("pem");
}

/** The certificate of application, KM or controller `id`, for both ends of a connection on the loopback address. */
export const forIdentity = (from: Authority, kind: PeerKind, id: string): Promise<Credentials> =>
  from.issue({ name: id, uris: [`urn:qkm:${kind}:${id}`], ips: ["127.0.0.1"] });

export const material = (own: Credentials, trust: Authority): TlsMaterial => ({ ...own, trust: trust.pem });

async function issue(subject: Subject, issuer: string, signingKey: webcrypto.CryptoKey): Promise<Credentials> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${subject.name ?? "test"}`,
    issuer,
    ...validity(subject),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(false), ...alternativeNames(subject)],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { certificate: certificate.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
}

function alternativeNames({ uris = [], ips = [], dns = [] }: Subject): x509.Extension[] {
  const names: x509.JsonGeneralNames = [
    ...uris.map((value) => ({ type: "url" as const, value })),
    ...ips.map((value) => ({ type: "ip" as const, value })),
    ...dns.map((value) => ({ type: "dns" as const, value })),
  ];
  return names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)];
}

const validity = ({ fromMs = -DAY_MS, untilMs = DAY_MS }: Subject) => ({
  notBefore: new Date(Date.now() + fromMs),
  notAfter: new Date(Date.now() + untilMs),
});

const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

const serial = (): string => `01${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString("hex")}`;
