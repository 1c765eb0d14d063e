// Certificate requests (PKCS#10, RFC 2986), as nodes make them and people who sign them read them.

import "reflect-metadata";
import { createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
} from "@peculiar/x509";
import { ID_PATTERN } from "../../../core/ids.ts";
import { CommandError, EXIT } from "../../common/exit.ts";
import { requestCertificate, type Subject } from "../../provision/certificates.ts";
import { fingerprintLine } from "./chain.ts";

/** Checked: signed by the key that it is for, and exactly one name of this network. */
export interface RequestContent extends Subject {
  readonly hosts: readonly string[];
  readonly publicKey: webcrypto.CryptoKey;
  /** The public key, DER. */
  readonly spki: Buffer;
}

const URI = /^urn:qkm:(?:km|app|controller):(.+)$/;

/** @throws CommandError that says what is wrong with it */
export async function readRequest(pem: string, file = "the request"): Promise<RequestContent> {
  const wrong = (what: string, cause?: unknown) =>
    new CommandError(EXIT.failed, `${file} ${what}; have the node make a new one.`, cause);
  const request = parse(pem);
  if (request === undefined) throw wrong("is no certificate request");
  if (!(await request.verify().catch(() => false))) throw wrong("is not signed by its own key");
  const names = request.extensions.find((one) => one instanceof SubjectAlternativeNameExtension)?.names.items ?? [];
  const uris = names.filter(({ type }) => type === "url").map(({ value }) => value);
  const [uri = ""] = uris;
  if (uris.length !== 1 || !ID_PATTERN.test(URI.exec(uri)?.[1] ?? "")) {
    throw wrong(`asks for ${uris.length === 0 ? "no name" : uris.join(", ")}, not one urn:qkm:<kind>:<id>`);
  }
  return {
    uri,
    usages: usagesOf(request),
    hosts: names.filter(({ type }) => type === "dns" || type === "ip").map(({ value }) => value),
    publicKey: await request.publicKey.export(),
    spki: Buffer.from(request.publicKey.rawData),
  };
}

function parse(pem: string): Pkcs10CertificateRequest | undefined {
  try {
    return new Pkcs10CertificateRequest(pem);
  } catch {
    return undefined;
  }
}

function usagesOf(request: Pkcs10CertificateRequest): Subject["usages"] {
  const asked = request.extensions.find((one) => one instanceof ExtendedKeyUsageExtension)?.usages ?? [];
  return (["server", "client"] as const).filter((usage) => asked.includes(ExtendedKeyUsage[`${usage}Auth`]));
}

/** Lines for a screen of 80 columns. */
export const requestLines = ({ uri, usages, hosts, spki }: RequestContent): readonly string[] => [
  `name:   ${uri}`,
  `for:    ${usages.join(" and ")}${hosts.length === 0 ? "" : ` at ${hosts.join(", ")}`}`,
  "key:",
  fingerprintLine(spki),
];

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;

/** A request for the certificate of a private key, PEM. */
export const newRequest = (key: KeyObject, subject: Subject): Promise<string> =>
  requestCertificate(
    {
      privateKey: key.toCryptoKey(ALGORITHM, false, ["sign"]),
      publicKey: createPublicKey(key).toCryptoKey(ALGORITHM, true, ["verify"]),
    },
    subject,
  );

/** Whether a request is for this key, name and hosts. */
export async function isRequestFor(pem: string, key: KeyObject, { uri, hosts = [] }: Subject): Promise<boolean> {
  const content = await readRequest(pem).catch(() => undefined);
  if (content === undefined) return false;
  return (
    createPublicKey(key).export({ type: "spki", format: "der" }).equals(content.spki) &&
    content.uri === uri &&
    content.hosts.toSorted().join() === hosts.toSorted().join()
  );
}
