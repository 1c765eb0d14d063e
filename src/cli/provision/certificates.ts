// Certificate authorities and certificates on files: ECDSA P-256, PEM; what is there already is left as it is.

import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** How every key here signs. */
export const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const AUTHORITY_YEARS = 10;
const CERTIFICATE_YEARS = 2;

/** Paths of a certificate and its private key. */
export interface PemFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority with its private key in memory. */
export interface Authority {
  readonly certificate: X509Certificate;
  readonly privateKey: webcrypto.CryptoKey;
}

/** What a certificate is for: which door of a KM, an application, or a controller. */
export interface Subject {
  /** `urn:qkm:<kind>:<id>`; the kinds are km, app and controller. */
  readonly uri: string;
  readonly usages: readonly ("server" | "client")[];
  /** Names and addresses that clients know the host by. */
  readonly hosts?: readonly string[];
}

/** Opens the authority of these files, or makes it, valid for ten years. */
export async function authority(files: PemFiles, name: string): Promise<Authority> {
  if (existsSync(files.cert) && existsSync(files.key)) return openAuthority(files);
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    ...validity(AUTHORITY_YEARS),
    keys,
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  await write(files, certificate, keys.privateKey);
  return { certificate, privateKey: keys.privateKey };
}

/** @throws Error when a file is not there, or not what it should be */
export async function openAuthority(files: PemFiles): Promise<Authority> {
  const pem = readFileSync(files.key, "utf8").replaceAll(/-----[^-]+-----|\s/g, "");
  const der = Buffer.from(pem, "base64");
  const privateKey = await webcrypto.subtle.importKey("pkcs8", der, SIGNING, false, ["sign"]);
  return { certificate: new X509Certificate(readFileSync(files.cert, "utf8")), privateKey };
}

/** Issues a certificate with a new key, valid for two years, unless both files are there. True when it did. */
export async function issue(from: Authority, files: PemFiles, subject: Subject): Promise<boolean> {
  if (existsSync(files.cert) && existsSync(files.key)) return false;
  const keys = await newKeys();
  await write(files, await certify(from, keys.publicKey, subject), keys.privateKey);
  return true;
}

/** A certificate for a key that was made elsewhere, valid for two years. */
export const certify = async (
  from: Authority,
  publicKey: webcrypto.CryptoKey,
  subject: Subject,
): Promise<X509Certificate> =>
  X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: commonName(subject),
    issuer: from.certificate.subject,
    ...validity(CERTIFICATE_YEARS),
    publicKey,
    signingKey: from.privateKey,
    signingAlgorithm: SIGNING,
    extensions: await extensionsOf(from, publicKey, subject),
  });

const commonName = ({ uri }: Subject): string => `CN=${uri.split(":").slice(3).join(":")}`;

/** RFC 2986: asks an authority for the certificate of a key pair; PEM. */
export async function requestCertificate(keys: webcrypto.CryptoKeyPair, subject: Subject): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: commonName(subject),
    keys,
    signingAlgorithm: SIGNING,
    extensions: [...supplyOptionsOf(subject)],
  });
  return `${request.toString("pem")}\n`;
}

/** What a certificate says of its subject, and a request asks for. */
function supplyOptionsOf(subject: Subject): readonly Extension[] {
  const usages = subject.usages.map((usage) => ExtendedKeyUsage[`${usage}Auth`]);
  const names: JsonGeneralName[] = [{ type: "url", value: subject.uri }];
  for (const host of subject.hosts ?? []) names.push({ type: isAddress(host) ? "ip" : "dns", value: host });
  return [new ExtendedKeyUsageExtension(usages), new SubjectAlternativeNameExtension(names)];
}

async function extensionsOf(from: Authority, own: webcrypto.CryptoKey, subject: Subject): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ...supplyOptionsOf(subject),
    await AuthorityKeyIdentifierExtension.create(from.certificate.publicKey),
    await SubjectKeyIdentifierExtension.create(own),
  ];
}

const isAddress = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(":");

/** A new key pair. */
export const newKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  webcrypto.subtle.generateKey(SIGNING, true, ["sign", "verify"]);

/** 16 random bytes, positive and without a leading zero, as RFC 5280 4.1.2.2 wants. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

/** From an hour ago, for hosts whose clock is behind. */
const validity = (years: number) => ({
  notBefore: new Date(Date.now() - HOUR_MS),
  notAfter: new Date(Date.now() + years * YEAR_MS),
});

/** Writes both, the key first. */
export async function write(
  files: PemFiles,
  certificate: X509Certificate,
  privateKey: webcrypto.CryptoKey,
): Promise<void> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", privateKey));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  der.fill(0);
  for (const path of [files.cert, files.key]) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(files.key, ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n"), {
    mode: 0o600,
  });
  writeFileSync(files.cert, `${certificate.toString("pem")}\n`);
}
