// As much of DER and X.509 as it takes to read the URIs and DNS names of a certificate's subject alternative names.

interface Element {
  readonly tag: number;
  readonly body: Uint8Array;
}

const SEQUENCE = 0x30;
const OBJECT_ID = 0x06;
const OCTET_STRING = 0x04;
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
  if (id?.tag !== OBJECT_ID || Buffer.from(id.body).toString("hex") !== SUBJECT_ALT_NAME) return [];
  return parts
    .filter(({ tag }) => tag === OCTET_STRING)
    .flatMap((value) => inner(only(elements(value.body)), SEQUENCE));
}

function inner(element: Element, tag: number): readonly Element[] {
  if (element.tag !== tag) throw new RangeError(`DER tag ${element.tag} where ${tag} belongs`);
  return elements(element.body);
}

function only(found: readonly Element[]): Element {
  const [first] = found;
  if (first === undefined || found.length !== 1) throw new RangeError("not exactly one DER element");
  return first;
}

function elements(bytes: Uint8Array): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + 2 + longLength(bytes, at);
    const end = start + bodyLength(bytes, at);
    if (end > bytes.length) throw new RangeError("a DER element runs past its end");
    found.push({ tag: bytes[at] ?? 0, body: bytes.subarray(start, end) });
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
