// What one door shows and trusts, as it is now: certificate, key, trust anchors, revocation lists; and who stands under it.
//
//   files ──read──> material ──renew──> Credentials ──> listeners and diallers: handshakes from now on
//                                            └────────> connections that stand: those that are good no more are closed
//
// OpenSSL examines chains in handshakes. Here is what it does not do: revocation, and all of it again for who is in already.

import { X509Certificate } from "node:crypto";
import type { Certificate } from "../refusal.ts";
import { Refusal } from "../refusal.ts";
import { type Names, namesIn } from "./der.ts";
import type { TlsMaterial } from "./options.ts";
import { type RevocationList, readRevocationLists } from "./revocation-list.ts";

/** A connection that was let in. */
export interface Standing {
  /** Undefined for one that came with a pre-shared key. */
  readonly certificate: Certificate | undefined;
  /** Why it would not be let in now, apart from its chain and its revocation. */
  whyNot(): Refusal | undefined;
  /** It may be no more; called once. */
  end(refusal: Refusal): void;
  /** Its certificate is revoked, or its authority is trusted no more; also told some time after it has ended. */
  disowned(): void;
}

interface Entry {
  readonly standing: Standing;
  /** Its certificate, and those above it that it showed. */
  readonly chain: readonly Names[];
  /** On the wall clock. */
  readonly untilMs: number;
  /** Under which it was found to be trusted. */
  anchors: readonly X509Certificate[];
}

/** A certificate of a door, a trust anchor, or the revocation list of one. */
export interface Expiry {
  readonly use: "own" | "trust" | "crl";
  /** Of the certificate; of a list, its authority. */
  readonly name: string;
  /** Its distinguished name on one line; of a list, its authority's. */
  readonly subject: string;
  /** On the wall clock. */
  readonly untilMs: number;
}

/** How often it is looked whose certificate has expired. */
const LOOK_MS = 500;
/** A handshake that began before a change of trust has ended after this time. */
const HANDSHAKE_MS = 30_000;
/** Certificates of connections that have ended, of which it may still matter that they are revoked. */
const MOST_GONE = 4_096;
/** Certificates between one and its trust anchor. */
const LONGEST_CHAIN = 8;

/** The TLS material of one door, which may be renewed while connections stand. */
export class Credentials implements TlsMaterial {
  #material: TlsMaterial;
  #anchors: readonly X509Certificate[];
  #lists: ReadonlyMap<string, RevocationList>;
  #trustChangedMs = Number.NEGATIVE_INFINITY;
  readonly #renewed = new Set<() => void>();
  readonly #standing = new Set<Entry>();
  readonly #gone = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;

  /** @throws Error when a trust anchor or a revocation list cannot be read */
  constructor(material: TlsMaterial) {
    this.#material = material;
    this.#anchors = anchorsIn(material.trust);
    this.#lists = listsIn(material, this.#anchors);
  }

  get certificate(): string {
    return this.#material.certificate;
  }

  get key(): string {
    return this.#material.key;
  }

  get trust(): string {
    return this.#material.trust;
  }

  get crl(): readonly string[] {
    return this.#material.crl ?? [];
  }

  get requireCrl(): boolean {
    return this.#material.requireCrl ?? false;
  }

  /** What is to be renewed, and until when. */
  get expiries(): readonly Expiry[] {
    const of = (use: Expiry["use"], certificates: readonly X509Certificate[]): readonly Expiry[] =>
      certificates.map((one) => ({ use, ...namesOf(one), untilMs: Date.parse(one.validTo) }));
    const lists = [...this.#lists.values()].flatMap(({ issuer, untilMs }) => {
      const authority = this.#anchors.find(({ raw }) => namesIn(raw).subject === issuer);
      return untilMs === undefined || authority === undefined ? [] : [{ untilMs, ...namesOf(authority) }];
    });
    return [
      ...of("own", anchorsIn(this.certificate)),
      ...of("trust", this.#anchors),
      ...lists.map((one) => ({ use: "crl" as const, ...one })),
    ];
  }

  /** Takes other material; whoever is good no more under it is closed. @throws Error when it cannot be used: nothing has changed then */
  renew(material: TlsMaterial): void {
    const anchors = anchorsIn(material.trust);
    this.#lists = listsIn(material, anchors);
    if (material.trust !== this.trust) {
      this.#anchors = anchors;
      this.#trustChangedMs = performance.now();
    }
    this.#material = material;
    for (const renewed of this.#renewed) renewed();
    this.lookAgain();
  }

  /** `renewed` is called at each change; the function returned ends that. */
  onRenewed(renewed: () => void): () => void {
    this.#renewed.add(renewed);
    return () => void this.#renewed.delete(renewed);
  }

  /** Why a certificate whose chain was verified in a handshake is not good. */
  refusal(certificate: Certificate): Refusal | undefined {
    const chain = chainOf(certificate).map(({ raw }) => namesIn(raw));
    const isFresh = performance.now() - this.#trustChangedMs < HANDSHAKE_MS;
    if (isFresh && !isTrusted(certificate, this.#anchors)) return new Refusal("unknown_ca");
    return this.#revoked(chain) ?? (this.requireCrl ? this.#unlisted(chain) : undefined);
  }

  /** Watches over a connection until the function returned is called. */
  stand(standing: Standing): () => void {
    const { certificate } = standing;
    const certificates = certificate === undefined ? [] : chainOf(certificate);
    const entry: Entry = {
      standing,
      chain: certificates.map(({ raw }) => namesIn(raw)),
      untilMs: Math.min(...certificates.map(({ validTo }) => Date.parse(validTo))),
      anchors: this.#anchors,
    };
    this.#standing.add(entry);
    this.#timer ??= setInterval(() => this.#endExpired(), LOOK_MS).unref();
    return () => this.#leave(entry);
  }

  /** Closes every connection that would not be let in now. An expired revocation list closes none. */
  lookAgain(): void {
    for (const entry of [...this.#standing]) {
      const disowned = this.#disowned(entry);
      const refusal = disowned ?? entry.standing.whyNot();
      if (refusal !== undefined) this.#end(entry, refusal);
      if (disowned !== undefined) entry.standing.disowned();
    }
    for (const [name, { chain, standing }] of this.#gone) {
      if (this.#revoked(chain) === undefined) continue;
      this.#gone.delete(name);
      standing.disowned();
    }
  }

  #disowned(entry: Entry): Refusal | undefined {
    const { certificate } = entry.standing;
    if (certificate === undefined) return undefined;
    if (entry.anchors !== this.#anchors && !isTrusted(certificate, this.#anchors)) return new Refusal("unknown_ca");
    entry.anchors = this.#anchors;
    return this.#revoked(entry.chain);
  }

  #revoked(chain: readonly Names[]): Refusal | undefined {
    const revoked = chain.find(({ issuer, serial }) => this.#lists.get(issuer)?.serials.has(serial));
    return revoked && new Refusal("revoked", `serial number ${revoked.serial}`);
  }

  #unlisted(chain: readonly Names[]): Refusal | undefined {
    for (const { issuer, subject } of chain) {
      if (issuer === subject) continue;
      const list = this.#lists.get(issuer);
      if (list === undefined) return new Refusal("crl", "crl names none");
      if ((list.untilMs ?? Number.POSITIVE_INFINITY) < Date.now()) return new Refusal("crl", "it has expired");
    }
    return undefined;
  }

  #endExpired(): void {
    const nowMs = Date.now();
    for (const entry of [...this.#standing]) if (entry.untilMs <= nowMs) this.#end(entry, new Refusal("expired"));
  }

  #end(entry: Entry, refusal: Refusal): void {
    this.#leave(entry);
    entry.standing.end(refusal);
  }

  #leave(entry: Entry): void {
    if (!this.#standing.delete(entry)) return;
    const [leaf] = entry.chain;
    if (leaf !== undefined) this.#remember(`${leaf.issuer} ${leaf.serial}`, entry);
    if (this.#standing.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #remember(name: string, { standing, ...entry }: Entry): void {
    const { disowned, whyNot, end } = standing;
    this.#gone.delete(name);
    // Without the certificate itself, which is large.
    this.#gone.set(name, { ...entry, standing: { certificate: undefined, disowned, whyNot, end } });
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > MOST_GONE && oldest !== undefined) this.#gone.delete(oldest);
  }
}

/** As they are, or made of plain material. @throws Error as the constructor */
export const credentialsOf = (tls: TlsMaterial): Credentials =>
  tls instanceof Credentials ? tls : new Credentials(tls);

function namesOf({ subjectAltName, subject }: X509Certificate): Pick<Expiry, "name" | "subject"> {
  const line = subject.replaceAll("\n", ", ");
  return { name: /URI:([^,]+)/.exec(subjectAltName ?? "")?.[1] ?? line, subject: line };
}

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The certificates in a PEM text. @throws Error when one cannot be read */
export const anchorsIn = (pem: string): readonly X509Certificate[] =>
  (pem.match(PEM) ?? []).map((one) => new X509Certificate(one));

function listsIn(
  { crl = [] }: Pick<TlsMaterial, "crl">,
  anchors: readonly X509Certificate[],
): ReadonlyMap<string, RevocationList> {
  const lists = new Map<string, RevocationList>();
  for (const list of crl.flatMap((pem) => readRevocationLists(pem, anchors))) {
    const { issuer } = list;
    const other = lists.get(issuer);
    // Two authorities of one name, or two lists of one authority: what either revokes is revoked.
    lists.set(issuer, other === undefined ? list : { ...list, serials: new Set([...list.serials, ...other.serials]) });
  }
  return lists;
}

/** A certificate and those that its owner showed above it. */
function chainOf(certificate: X509Certificate): readonly X509Certificate[] {
  const chain = [certificate];
  for (let above = certificate.issuerCertificate; above !== undefined; above = above.issuerCertificate) {
    const [below] = chain.slice(-1);
    const isLast = chain.length === LONGEST_CHAIN || below?.fingerprint256 === above.fingerprint256;
    if (isLast || below?.verify(above.publicKey) !== true) break;
    chain.push(above);
  }
  return chain;
}

/** Whether one of the anchors, in its time, has signed a certificate of the chain, or is one. Names and order were verified before. */
function isTrusted(certificate: X509Certificate, anchors: readonly X509Certificate[]): boolean {
  const nowMs = Date.now();
  const good = anchors.filter(
    ({ validFrom, validTo }) => Date.parse(validFrom) <= nowMs && nowMs < Date.parse(validTo),
  );
  for (const one of chainOf(certificate)) {
    if (good.some((anchor) => anchor.fingerprint256 === one.fingerprint256)) return true;
    if (good.some((anchor) => one.checkIssued(anchor) && one.verify(anchor.publicKey))) return true;
  }
  return false;
}
