// Applications and key managers known by certificates of other makes, as the configuration says.

import { type CertificateName, markOf, uriOfApp } from "../../core/certificate-names.ts";
import { type Certificate, Refusal } from "../refusal.ts";
import { dnsNames, uriNames } from "./der.ts";

/** What is read of a certificate. */
type NamedCertificate = Pick<Certificate, "raw" | "issuer" | "fingerprint256" | "toLegacyObject">;

/** Whose certificate it is; undefined when it is none of those that the configuration describes. */
export type Identify = (certificate: NamedCertificate) => string | Refusal | undefined;

/** An application or a key manager and the names of its certificates; without any, it is known by our URI. */
interface Certificates {
  readonly id: string;
  readonly certificates: readonly CertificateName[];
}

/**
 * Undefined when none has certificates of another make: then nothing is looked for.
 * @param uriOf of those that have certificates of our make
 */
export function identifier(parties: readonly Certificates[], uriOf = uriOfApp): Identify | undefined {
  const named = parties.filter(({ certificates }) => certificates.length > 0);
  if (named.length === 0) return undefined;
  const owners = new Map(named.flatMap(({ id, certificates }) => certificates.map((name) => [markOf(name), id])));
  const ours = new Map(named.map(({ id }) => [markOf({ uri: uriOf(id) }), id]));
  return (certificate) => {
    const marks = marksIn(certificate);
    if (marks instanceof Refusal) return marks;
    const ids = [...new Set(marks.flatMap((mark) => owners.get(mark) ?? []))];
    if (ids.length > 1) return new Refusal("identity", `it fits ${ids.join(" and ")}`);
    const other = marks.map((mark) => ours.get(mark)).find((id) => id !== undefined);
    if (ids.length === 0 && other !== undefined) {
      return new Refusal("identity", `it is none of the certificates that the configuration says ${other} has`);
    }
    return ids[0];
  };
}

function marksIn(certificate: NamedCertificate): readonly string[] | Refusal {
  try {
    const { raw, issuer, fingerprint256 } = certificate;
    const { CN } = certificate.toLegacyObject().subject;
    const names: readonly CertificateName[] = [
      ...uriNames(raw).map((uri) => ({ uri })),
      ...dnsNames(raw).map((dns) => ({ dns })),
      ...(typeof CN === "string" ? [{ cn: CN, issuer: issuer.split("\n").reverse().join(",") }] : []),
      { sha256: fingerprint256 },
    ];
    return names.map(markOf);
  } catch (thrown) {
    return new Refusal("certificate", String(thrown));
  }
}
