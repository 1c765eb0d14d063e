// Revocation lists of the authorities that `qkm init` made: one file beside each authority, which is also its own record.

import "reflect-metadata";
import { X509Certificate as NodeCertificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  AuthorityKeyIdentifierExtension,
  Extension,
  PemConverter,
  X509Certificate,
  X509Crl,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";
import { writeWhole } from "../appliance/files.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { openAuthority, SIGNING } from "../provision/certificates.ts";
import { AUTHORITY_NAMES, type AuthorityName, authorityFiles } from "../provision/plan.ts";

const DAY_MS = 86_400_000;
/** From an hour ago, for hosts whose clock is behind. */
const BEFORE_MS = 3_600_000;

/** Where an authority's list lies. */
export const listFile = (dir: string, name: AuthorityName): string => join(dir, `${name}.crl.pem`);

/** The authorities in a folder whose keys are there. @throws CommandError when there are none */
export function authoritiesAt(dir: string): readonly AuthorityName[] {
  const found = AUTHORITY_NAMES.filter((name) => {
    const { cert, key } = authorityFiles(dir, name);
    return existsSync(cert) && existsSync(key);
  });
  if (found.length > 0) return found;
  throw new CommandError(EXIT.unavailable, `${dir} has no authority with its key; name the right folder with --ca.`);
}

/** The authority in a folder that signed a certificate. @throws CommandError */
export function signerOf(pem: string, dir: string): AuthorityName {
  const certificate = new NodeCertificate(pem);
  const found = authoritiesAt(dir).find((name) => {
    const authority = new NodeCertificate(readFileSync(authorityFiles(dir, name).cert));
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  });
  if (found !== undefined) return found;
  throw new CommandError(EXIT.failed, `no authority in ${dir} whose key is there has signed it.`);
}

/** What is revoked, and until when the list that says so is to count. */
export interface ListChange {
  /** Serial numbers in hexadecimal, beside those that are revoked already. */
  readonly serials: readonly string[];
  readonly days: number;
}

/** Signs an authority's list anew. Returns its path. @throws Error when the authority or its list cannot be read */
export async function renewList(dir: string, name: AuthorityName, { serials, days }: ListChange): Promise<string> {
  const from = await openAuthority(authorityFiles(dir, name));
  const path = listFile(dir, name);
  const before = existsSync(path) ? new X509Crl(readFileSync(path, "utf8")).entries : [];
  const known = new Set(before.map(({ serialNumber }) => serialNumber.toLowerCase()));
  const added = serials.map((serial) => serial.toLowerCase()).filter((serial) => !known.has(serial));
  const nowMs = Date.now();
  const list = await X509CrlGenerator.create({
    issuer: from.certificate.subjectName,
    thisUpdate: new Date(nowMs - BEFORE_MS),
    nextUpdate: new Date(nowMs + days * DAY_MS),
    entries: [
      ...before.map(({ serialNumber, revocationDate, reason = X509CrlReason.keyCompromise }) => ({
        ...{ serialNumber, revocationDate, reason },
      })),
      // Without a reason the library writes an empty list of extensions, which OpenSSL does not read.
      ...added.map((serialNumber) => ({
        ...{ serialNumber, revocationDate: new Date(nowMs), reason: X509CrlReason.keyCompromise },
      })),
    ],
    extensions: [await AuthorityKeyIdentifierExtension.create(from.certificate.publicKey), listNumber(nowMs)],
    signingKey: from.privateKey,
    signingAlgorithm: SIGNING,
  });
  writeWhole(path, `${PemConverter.encode(list.rawData, "X509 CRL")}\n`, 0o644);
  return path;
}

/** RFC 5280 5.2.3: higher with each list; the time is. */
function listNumber(nowMs: number): Extension {
  const number = Buffer.alloc(8);
  number.writeUIntBE(nowMs, 2, 6);
  number[1] = number.length - 2;
  number[0] = 0x02;
  return new Extension(LIST_NUMBER, false, number);
}

const LIST_NUMBER = "2.5.29.20";

/** The serial number of a certificate, in hexadecimal. @throws Error when it is none */
export const serialIn = (pem: string): string => new X509Certificate(pem).serialNumber;
