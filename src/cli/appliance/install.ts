// A certificate comes in: it must be for a key of this node, its name, its use, its anchor and its time.

import { createPublicKey, type X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { Refusal } from "../../net/refusal.ts";
import { identityOf } from "../../net/tls/identity.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { certificatesIn, leadsTo, leafOf } from "./certificates/chain.ts";
import { identitiesOf, keyOf, type NodeIdentity } from "./certificates/identities.ts";
import { readText, writeWhole } from "./files.ts";
import type { Medium } from "./medium.ts";
import { configIn } from "./node-config.ts";
import { type AppliancePlaces, appliancePlaces, ON_MEDIUM } from "./places.ts";
import type { Screen } from "./screen.ts";
import { settle } from "./state.ts";

/** A certificate that was taken in. */
export interface Installed {
  /** Of the key that it is for: `server` or `kx`. */
  readonly name: string;
  readonly file: string;
  /** Until when it is valid. */
  readonly until: Date;
  /** What the node needs before it can run, a sentence each; none when it can. */
  readonly missing: readonly string[];
}

/**
 * Installs a certificate (PEM; intermediate ones may follow it) in the place of the one before. A key manager that
 * runs uses it when it is started again; one that waited for it is started by `provisioned`.
 * @throws CommandError that says what is wrong with it, ConfigError
 */
export function installCertificate(dir: string, pem: string): Installed {
  const places = appliancePlaces(dir);
  const config = configIn(places);
  if (config === undefined) {
    throw new CommandError(EXIT.config, "the node has no configuration yet: start it with a config medium first.");
  }
  const chain = certificatesIn(pem, "the text");
  const identity = ownerOf(chain, identitiesOf(config, places), places);
  if (identity === undefined) {
    throw new CommandError(
      EXIT.failed,
      `the certificate of ${subjectOf(chain)} is for no key of this node: have its own request signed.`,
    );
  }
  const until = examine(chain, identity);
  keep(chain, identity);
  return {
    name: identity.name,
    file: identity.certificate,
    until,
    missing: settle(dir).map(({ sentence }) => sentence),
  };
}

/** Takes those of the medium that are for keys of this node and better than what is there; others are other nodes'. */
export async function takeCertificates(
  identities: readonly NodeIdentity[],
  places: AppliancePlaces,
  medium: Medium,
  screen: Screen,
): Promise<void> {
  const files = (await screen.attempt(() => medium.list(ON_MEDIUM.certificates, ".pem"))) ?? [];
  for (const file of files) {
    await screen.attempt(() => {
      const chain = certificatesIn(medium.text(file) ?? "", `the medium's ${file}`);
      const identity = ownerOf(chain, identities, places);
      if (identity === undefined) checkOthers(chain, identities, file);
      if (identity === undefined || !isLater(chain, identity)) return;
      const until = examine(chain, identity);
      keep(chain, identity);
      screen.say(`certificate ${identity.name} installed, valid until ${day(until)}`);
    });
  }
}

/** Such as 2028-11-21. */
export const day = (date: Date): string => date.toISOString().slice(0, 10);

const subjectOf = ([leaf]: readonly X509Certificate[]): string => leaf?.subject ?? "nobody";
const textOf = (chain: readonly X509Certificate[]): string => chain.map((one) => one.toString()).join("");

function ownerOf(
  [leaf]: readonly X509Certificate[],
  identities: readonly NodeIdentity[],
  places: AppliancePlaces,
): NodeIdentity | undefined {
  return identities.find((identity) => {
    const key = keyOf(identity, places);
    return key !== undefined && leaf?.publicKey.equals(createPublicKey(key));
  });
}

/** Other nodes' certificates may lie on the same medium; one with this node's name is for a key that it had before. */
function checkOthers([leaf]: readonly X509Certificate[], identities: readonly NodeIdentity[], file: string): void {
  const uri = leaf === undefined ? undefined : `urn:qkm:km:${identityOf(leaf, "km")}`;
  if (!identities.some(({ subject }) => subject.uri === uri)) return;
  throw new CommandError(
    EXIT.failed,
    `the medium's ${file} is ${uri}, but for no key that this node has: have the request on the medium signed.`,
  );
}

/** Whether there is none yet, or one that ends before. */
function isLater([leaf]: readonly X509Certificate[], { certificate }: NodeIdentity): boolean {
  const kept = leafOf(certificate);
  if (kept === undefined || leaf === undefined) return true;
  return leaf.validToDate.getTime() > kept.validToDate.getTime();
}

/** Until when it is valid. @throws CommandError */
function examine(chain: readonly X509Certificate[], { name, subject, anchor }: NodeIdentity): Date {
  const wrong = (what: string) =>
    new CommandError(EXIT.failed, `the certificate for ${name} ${what}: have the request signed anew.`);
  const [leaf] = chain;
  if (leaf === undefined) throw wrong("is empty");
  const id = identityOf(leaf, "km");
  if (id instanceof Refusal) throw wrong(`is not for ${subject.uri}: ${id.message}`);
  if (`urn:qkm:km:${id}` !== subject.uri) throw wrong(`is for urn:qkm:km:${id}, not ${subject.uri}`);
  const lacking = subject.usages.find((usage) => !allows(leaf, usage));
  if (lacking !== undefined) throw wrong(`does not allow use as TLS ${lacking}`);
  const now = Date.now();
  const clock = `the node's clock says ${day(new Date(now))}`;
  if (leaf.validToDate.getTime() < now) throw wrong(`ended on ${day(leaf.validToDate)} (${clock})`);
  if (leaf.validFromDate.getTime() > now) throw wrong(`begins on ${day(leaf.validFromDate)} (${clock})`);
  if (existsSync(anchor) && !leadsTo(certificatesIn(readText(anchor) ?? "", anchor), chain)) {
    throw wrong(`does not lead to the trust anchor ${anchor}`);
  }
  return leaf.validToDate;
}

const PURPOSE = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

/** RFC 5280 4.2.1.12: one that names no purposes allows all. */
function allows(leaf: X509Certificate, usage: keyof typeof PURPOSE): boolean {
  const purposes: readonly string[] | undefined = leaf.keyUsage;
  return purposes === undefined || purposes.length === 0 || purposes.includes(PURPOSE[usage]);
}

const keep = (chain: readonly X509Certificate[], { certificate }: NodeIdentity): void =>
  writeWhole(certificate, textOf(chain), 0o644);
