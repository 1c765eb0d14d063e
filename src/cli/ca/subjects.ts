// What `qkm ca` issues and renews: for whom, by which authority.

import "reflect-metadata";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
} from "@peculiar/x509";
import type { Subject } from "../provision/certificates.ts";
import type { AuthorityName } from "../provision/plan.ts";

interface Kind {
  readonly authority: AuthorityName;
  readonly uri: "app" | "km" | "controller" | "monitor";
  readonly usages: Subject["usages"];
}

/** By what is written on the command line. */
export const KINDS = {
  app: { authority: "apps", uri: "app", usages: ["client"] },
  "km-server": { authority: "km_servers", uri: "km", usages: ["server"] },
  "km-kx": { authority: "kms", uri: "km", usages: ["server", "client"] },
  controller: { authority: "controllers", uri: "controller", usages: ["client"] },
  monitor: { authority: "monitors", uri: "monitor", usages: ["client"] },
} as const satisfies Readonly<Record<string, Kind>>;

/** Whom a certificate is of and what it is for: for one that takes its place. */
export function subjectOf(certificate: X509Certificate): Subject {
  const names = certificate.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  const asked = certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? [];
  return {
    uri: names.find(({ type }) => type === "url")?.value ?? "",
    usages: (["server", "client"] as const).filter((usage) => asked.includes(ExtendedKeyUsage[`${usage}Auth`])),
    hosts: names.filter(({ type }) => type === "dns" || type === "ip").map(({ value }) => value),
  };
}
