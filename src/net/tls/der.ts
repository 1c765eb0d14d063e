// As much of DER and X.509 as it takes to read who a certificate is of, who signed it, and its subject alternative names.

/** One DER element; `whole` is its bytes with tag and length. All are views. */
export interface Element {
  readonly tag: number;
  readonly body: Uint8Array;
  readonly whole: Uint8Array;
}

/** DER tags (X.690 8.1.2). */
export const SEQUENCE = 0x30;

/** OBJECT IDENTIFIER. */
export const OBJECT_ID = 0x06;

/** INTEGER. */
export const INTEGER = 0x02;
const OCTET_STRING = 0x04;
/** Of a certificate: version 1 has none. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS = 0x82;
const URI = 0x86;
/** 2.5.29.17 */
const SUBJECT_ALT_NAME = "551d11";

/**
 * The URI names of a certificate's subjectAltName (RFC 5280 4.2.1.6), read from its DER: the printed form, which separates
 * names with commas, cannot be parsed safely.
 * @throws RangeError when the bytes are no certificate
 */
export const uriNames = (certificate: Uint8Array): readonly string[] => namesOf(certificate, URI);

/** The DNS names in the same place. @throws RangeError when the bytes are no certificate */
export const dnsNames = (certificate: Uint8Array): readonly string[] => namesOf(certificate, DNS);

/** The names in a certificate as they are written in it (DER, in hexadecimal), and its serial number. */
export interface Names {
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
}

/** RFC 5280 4.1. @throws RangeError when the bytes are no certificate */
export function namesIn(certificate: Uint8Array): Names {
  const [signed] = inner(only(elements(certificate)), SEQUENCE);
  const parts = signed === undefined ? [] : inner(signed, SEQUENCE).filter(({ tag }) => tag !== VERSION);
  const [serial, , issuer, , subject] = parts;
  if (serial?.tag !== INTEGER || issuer?.tag !== SEQUENCE || subject?.tag !== SEQUENCE) {
    throw new RangeError("the certificate has no names where they belong");
  }
  return { serial: hexOf(serial.body), issuer: hexOf(issuer.whole), subject: hexOf(subject.whole) };
}

/** Bytes as lower-case hexadecimal digits. */
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function namesOf(certificate: Uint8Array, kind: number): readonly string[] {
  const toBeSigned = inner(only(elements(certificate)), SEQUENCE)[0];
  if (toBeSigned === undefined) throw new RangeError("the certificate is empty");
  return inner(toBeSigned, SEQUENCE)
    .filter(({ tag }) => tag === EXTENSIONS)
    .flatMap((extensions) => inner(only(elements(extensions.body)), SEQUENCE))
    .flatMap(alternativeNames)
    .filter(({ tag }) => tag === kind)
    .map(({ body }) => Buffer.from(body).toString("latin1"));
}

/** The names in one extension, if it is subjectAltName. */
function alternativeNames(extension: Element): readonly Element[] {
  const parts = inner(extension, SEQUENCE);
  const [id] = parts;
  if (id?.tag !== OBJECT_ID || hexOf(id.body) !== SUBJECT_ALT_NAME) return [];
  return parts
    .filter(({ tag }) => tag === OCTET_STRING)
    .flatMap((value) => inner(only(elements(value.body)), SEQUENCE));
}

/** What is in an element of that tag. @throws RangeError when it has another */
export function inner(element: Element, tag: number): readonly Element[] {
  if (element.tag !== tag) throw new RangeError(`DER tag ${element.tag} where ${tag} belongs`);
  return elements(element.body);
}

/** @throws RangeError when it is not exactly one */
export function only(found: readonly Element[]): Element {
  const [first] = found;
  if (first === undefined || found.length !== 1) throw new RangeError("not exactly one DER element");
  return first;
}

/** The elements that lie one after the other. @throws RangeError when they do not fill the bytes */
export function elements(bytes: Uint8Array): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + 2 + longLength(bytes, at);
    const end = start + bodyLength(bytes, at);
    if (end > bytes.length) throw new RangeError("a DER element runs past its end");
    found.push({ tag: bytes[at] ?? 0, body: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

/** How many bytes of length follow the first one; at most 4. */
function longLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1];
  if (first === undefined) throw new RangeError("a DER element has no length");
  if (first < 0x80) return 0;
  const more = first & 0x7f;
  if (more === 0 || more > 4) throw new RangeError("a DER length is indefinite or too long");
  return more;
}

function bodyLength(bytes: Uint8Array, at: number): number {
  const more = longLength(bytes, at);
  if (more === 0) return bytes[at + 1] ?? 0;
  return bytes.subarray(at + 2, at + 2 + more).reduce((length, byte) => length * 256 + byte, 0);
}
