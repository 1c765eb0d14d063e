// Certificates in PEM files, and whether one leads to a trust anchor.

import { createHash, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { CommandError, EXIT } from "../../common/exit.ts";
import type { Subject } from "../../provision/certificates.ts";
import { readText } from "../files.ts";

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
/** Anchors in a file, or certificates in a chain. */
const MOST = 32;

/** All certificates of a text, in its order, at least one. @throws CommandError naming `what` */
export function certificatesIn(text: string, what: string): readonly X509Certificate[] {
  const blocks = text.match(PEM) ?? [];
  if (blocks.length === 0 || blocks.length > MOST) {
    throw new CommandError(EXIT.config, `${what} has ${blocks.length} certificates (PEM), not 1 to ${MOST}.`);
  }
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new CommandError(EXIT.config, `${what} has a certificate that cannot be read; copy it anew.`, cause);
  }
}

/** The first certificate of a file. Undefined when it is not there or spoilt. */
export function leafOf(path: string): X509Certificate | undefined {
  const [block] = readText(path)?.match(PEM) ?? [];
  try {
    return block === undefined ? undefined : new X509Certificate(block);
  } catch {
    return undefined;
  }
}

/** Whether a certificate is for this private key, and for these names and no others. */
export function isFor(leaf: X509Certificate | undefined, key: KeyObject, { uri, hosts = [] }: Subject): boolean {
  if (leaf === undefined || !leaf.publicKey.equals(createPublicKey(key))) return false;
  const names = leaf.subjectAltName?.split(", ") ?? [];
  const isNamed = (host: string) =>
    (isIP(host) === 0 ? leaf.checkHost(host, { subject: "never", wildcards: false }) : leaf.checkIP(host)) !==
    undefined;
  return names.length === hosts.length + 1 && names.includes(`URI:${uri}`) && hosts.every(isNamed);
}

/** A line about a public key, the same on the node's screen and at the authority, so that people can compare. */
export const fingerprintLine = (spki: Uint8Array): string =>
  `  SHA-256 ${createHash("sha256").update(spki).digest("hex")}`;

/** Whether the first of a chain leads to one of the anchors, over the others; by signature, not by date. */
export function leadsTo(anchors: readonly X509Certificate[], chain: readonly X509Certificate[]): boolean {
  const [leaf, ...others] = chain;
  if (leaf === undefined) return false;
  if (anchors.some((anchor) => isIssuer(anchor, leaf))) return true;
  const next = others.filter((other) => isIssuer(other, leaf));
  return next.some((issuer) => leadsTo(anchors, [issuer, ...others.filter((other) => other !== issuer)]));
}

const isIssuer = (issuer: X509Certificate, of: X509Certificate): boolean =>
  issuer.ca && of.checkIssued(issuer) && of.verify(issuer.publicKey);
