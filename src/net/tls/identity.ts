// Who is at the other end: exactly one SAN URI `urn:qkm:app:<id>`, `urn:qkm:km:<id>` or `urn:qkm:controller:<id>`.

import type { TLSSocket } from "node:tls";
import type { Fault } from "../../core/fault.ts";
import { ID_PATTERN } from "../../core/ids.ts";
import { type Certificate, certificateLine, Refusal, refusalOfVerdict } from "../refusal.ts";
import type { Identify } from "./certificate-names.ts";
import type { Credentials } from "./credentials.ts";
import { uriNames } from "./der.ts";
import type { ShownKey } from "./pre-shared.ts";

/** What a listener or dialler talks to. */
export type PeerKind = "app" | "km" | "controller" | "monitor";

/** Tells whether an ID of a certificate may connect: an app homed here, a configured peer. */
export type Admit = (id: string, serverName: string) => Fault | undefined;

/**
 * Whose certificate it is: the one that `identify` knows it for, otherwise the ID in it; or a refusal.
 */
export function identified(certificate: Certificate, kind: PeerKind, identify?: Identify): string | Refusal {
  return identify?.(certificate) ?? identityOf(certificate, kind);
}

/** The ID in a certificate of that kind; a refusal when it has no URI, several, one of another kind, or one that is no ID. */
export function identityOf(certificate: Pick<Certificate, "raw">, kind: PeerKind): string | Refusal {
  const uris = urisOf(certificate);
  if (uris instanceof Refusal) return uris;
  const [uri] = uris;
  if (uri === undefined || uris.length !== 1) return new Refusal("identity", `it has ${uris.length} SAN URIs`);
  const prefix = `urn:qkm:${kind}:`;
  const id = uri.slice(prefix.length);
  if (uri.startsWith(prefix) && ID_PATTERN.test(id)) return id;
  return new Refusal("identity", `the SAN URI ${JSON.stringify(uri)} is not ${prefix}<id>`);
}

function urisOf(certificate: Pick<Certificate, "raw">): readonly string[] | Refusal {
  try {
    return uriNames(certificate.raw);
  } catch (thrown) {
    return new Refusal("certificate", String(thrown));
  }
}

/** An examined peer: its ID, and its certificate for logs. */
export interface Peer {
  readonly id: string;
  readonly certificate: string;
  /** With which it came (SNI); empty for one that was dialled. */
  readonly serverName: string;
}

/** Who decides whose a certificate is and whether that one may connect. */
interface Examiner {
  readonly admit: Admit;
  readonly identify?: Identify | undefined;
  /** Know what is revoked. */
  readonly credentials: Pick<Credentials, "refusal">;
}

/**
 * Examines the peer of a socket whose handshake has ended: chain, validity, revocation, identity, admission.
 * @param serverName with which it came
 */
export function examine(
  socket: TLSSocket,
  kind: PeerKind,
  { admit, identify, credentials }: Examiner,
  serverName = "",
): Peer | Refusal {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return new Refusal("no_certificate");
  if (!socket.authorized) return refusalOfVerdict(String(socket.authorizationError));
  const revoked = credentials.refusal(certificate);
  if (revoked !== undefined) return revoked;
  const id = identified(certificate, kind, identify);
  if (id instanceof Refusal) return id;
  return notAdmitted(id, serverName, admit) ?? { id, certificate: certificateLine(certificate), serverName };
}

/** RFC 4279: who has the key of an identity is whom it stands for. */
export function examineShown(shown: ShownKey | undefined, admit: Admit): Peer | Refusal {
  if (shown === undefined) return new Refusal("no_certificate");
  const { id } = shown.key;
  const certificate = `PSK identity ${JSON.stringify(shown.identity)}`;
  return notAdmitted(id, "", admit) ?? { id, serverName: "", certificate };
}

/** Why an identity is not let in; undefined when it is. `serverName` is empty where there is none. */
export function notAdmitted(id: string, serverName: string, admit: Admit): Refusal | undefined {
  const fault = admit(id, serverName);
  return fault && new Refusal("not_admitted", `${id}: ${fault.message}`, fault);
}
