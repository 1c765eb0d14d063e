// Certificate revocation lists (RFC 5280 5): which certificates of an authority are good no more, from PEM.
//
// OpenSSL's own check is not used: it takes a list that has expired, or none, for the same as a broken chain, and it looks
// only at handshakes. Connections that stand have to be looked at too, at once.

import { verify, type X509Certificate } from "node:crypto";
import { type Element, elements, hexOf, INTEGER, inner, namesIn, OBJECT_ID, only, SEQUENCE } from "./der.ts";

/** One authority's list. */
export interface RevocationList {
  /** The authority's name as it is written in its certificates: DER, in hexadecimal. */
  readonly issuer: string;
  /** After which another list is due, on the wall clock; undefined when it says nothing. */
  readonly untilMs: number | undefined;
  /** Serial numbers, in hexadecimal as they are in DER. */
  readonly serials: ReadonlySet<string>;
}

const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const BIT_STRING = 0x03;
const BOOLEAN = 0x01;
const EXTENSIONS = 0xa0;

/** Signature algorithms by object ID, with the hash that `verify` wants; those of Edwards curves have their own. */
const HASHES: Readonly<Record<string, string | null>> = {
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  "2b6570": null,
  "2b6571": null,
};

const PEM = /-----BEGIN (?:X509 )?CRL-----([\s\S]*?)-----END (?:X509 )?CRL-----/g;

/** The lists in a PEM text, each signed by one of the authorities. @throws Error that says what is wrong with one */
export function readRevocationLists(pem: string, authorities: readonly X509Certificate[]): readonly RevocationList[] {
  const lists = [...pem.matchAll(PEM)].map(([, base64 = ""]) => Buffer.from(base64, "base64"));
  if (lists.length === 0) throw new Error("there is no revocation list in it (PEM, BEGIN X509 CRL)");
  return lists.map((der) => readList(der, authorities));
}

function readList(der: Uint8Array, authorities: readonly X509Certificate[]): RevocationList {
  const [signed, algorithm, signature] = inner(only(elements(der)), SEQUENCE);
  if (signed === undefined || algorithm === undefined || signature?.tag !== BIT_STRING || signature.body[0] !== 0) {
    throw new RangeError("it is no revocation list");
  }
  const list = readSigned(signed);
  const named = authorities.filter(({ raw }) => namesIn(raw).subject === list.issuer);
  if (named.length === 0) throw new Error("it is of none of the authorities in trust");
  const [id] = inner(algorithm, SEQUENCE);
  const hash = id?.tag === OBJECT_ID ? HASHES[hexOf(id.body)] : undefined;
  if (hash === undefined) throw new Error("it is signed with an algorithm that is not known here");
  const isSigned = named.some(({ publicKey }) => verify(hash, signed.whole, publicKey, signature.body.subarray(1)));
  if (!isSigned) throw new Error("its signature is not that of the authority that it names");
  return list;
}

/** tbsCertList: version, algorithm, issuer, this update, next update, entries, extensions. */
function readSigned(signed: Element): RevocationList {
  const parts = inner(signed, SEQUENCE).filter(({ tag }) => tag !== INTEGER);
  const [, issuer, thisUpdate, ...rest] = parts;
  if (issuer?.tag !== SEQUENCE || !isTime(thisUpdate)) throw new RangeError("it is no revocation list");
  const next = rest.find(isTime);
  const entries = rest.find(({ tag }) => tag === SEQUENCE);
  for (const { body } of rest.filter(({ tag }) => tag === EXTENSIONS)) refuseCritical(only(elements(body)));
  return {
    issuer: hexOf(issuer.whole),
    untilMs: next && timeOf(next),
    serials: new Set(entries === undefined ? [] : inner(entries, SEQUENCE).map(serialOf)),
  };
}

/** RFC 5280 5.2: one with a critical extension that is not understood says something else than a plain list. */
function refuseCritical(extensions: Element): void {
  for (const extension of inner(extensions, SEQUENCE)) {
    const [, critical] = inner(extension, SEQUENCE);
    if (critical?.tag !== BOOLEAN || critical.body[0] === 0) continue;
    throw new Error("it is for a part of the certificates, or says what changed: give the whole list of the authority");
  }
}

function serialOf(entry: Element): string {
  const [serial] = inner(entry, SEQUENCE);
  if (serial?.tag !== INTEGER) throw new RangeError("an entry has no serial number");
  return hexOf(serial.body);
}

const isTime = (element: Element | undefined): element is Element =>
  element?.tag === UTC_TIME || element?.tag === GENERALIZED_TIME;

/** RFC 5280 5.1.2.4: in UTC, with seconds; years of two digits are those from 1950 to 2049. */
function timeOf({ tag, body }: Element): number {
  const text = Buffer.from(body).toString("latin1");
  const digits = tag === GENERALIZED_TIME ? text : `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}`;
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits) ?? [];
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) throw new RangeError(`${JSON.stringify(text)} is no time`);
  return ms;
}
