// How the configuration says which certificates are an application's, where they are not of our make.

/** One way to know a certificate; the authority of the door has signed it in any case. */
export type CertificateName =
  /** A URI among the subject's alternative names, compared bytewise. */
  | { readonly uri: string }
  /** A DNS name among them, compared without case; no patterns. */
  | { readonly dns: string }
  /** The subject's one common name, and the issuer's whole name as RFC 4514 writes it: last part first, with commas. */
  | { readonly cn: string; readonly issuer: string }
  /** SHA-256 over the certificate's DER, in hexadecimal, with colons or without. */
  | { readonly sha256: string };

/** The same text for all spellings of a name, different for different names. */
export function markOf(name: CertificateName): string {
  if ("uri" in name) return `URI ${JSON.stringify(name.uri)}`;
  if ("dns" in name) return `DNS name ${JSON.stringify(name.dns.toLowerCase())}`;
  if ("cn" in name) return `CN ${JSON.stringify(name.cn)} of the issuer ${JSON.stringify(name.issuer)}`;
  return `SHA-256 ${name.sha256.replaceAll(":", "").toUpperCase()}`;
}

/** The URI of an application whose certificates are of our make. */
export const uriOfApp = (id: string): string => `urn:qkm:app:${id}`;
/** The same of a key manager. */
export const uriOfKm = (id: string): string => `urn:qkm:km:${id}`;
