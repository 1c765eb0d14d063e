// Certificates that a door must refuse, issued by the network's own authorities or by none of them.

import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { type Authority, authority as authorityOf } from "../../../src/cli/provision/certificates.ts";
import { type AuthorityName, authorityFiles, networkPlaces } from "../../../src/cli/provision/plan.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;

/** PEM texts. */
export interface Stranger {
  readonly certificate: string;
  readonly key: string;
  /** As logs have it: upper-case hex. */
  readonly serial: string;
}

export interface Claims {
  /** SAN URIs. */
  readonly uris: readonly string[];
  /** Hours from now. */
  readonly validFrom?: number;
  readonly validUntil?: number;
}

/** A certificate that an authority of the network really signed. */
export async function signedBy(dir: string, name: AuthorityName, claims: Claims): Promise<Stranger> {
  const from = await authorityOf(authorityFiles(networkPlaces(dir).authorities, name), name);
  return await issue(from, claims);
}

/** A certificate of an authority with the same name, and another key. */
export async function signedByImpostor(dir: string, name: AuthorityName, claims: Claims): Promise<Stranger> {
  const { certificate } = await authorityOf(authorityFiles(networkPlaces(dir).authorities, name), name);
  const { privateKey } = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return await issue({ certificate, privateKey }, claims);
}

async function issue(from: Authority, { uris, validFrom = -1, validUntil = 1 }: Claims): Promise<Stranger> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const serial = `01${randomBytes(15).toString("hex")}`;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: "CN=stranger",
    issuer: from.certificate.subject,
    notBefore: new Date(Date.now() + validFrom * HOUR_MS),
    notAfter: new Date(Date.now() + validUntil * HOUR_MS),
    publicKey: keys.publicKey,
    signingKey: from.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: "url" as const, value }))),
    ],
  });
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: certificate.toString("pem"),
    key: x509.PemConverter.encode(der, "PRIVATE KEY"),
    serial: serial.toUpperCase(),
  };
}
