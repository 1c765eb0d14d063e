// A certificate that comes in is for a key, the name, the use, the anchor and the time of this node; others are refused.

import "reflect-metadata";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requestsOf, type WaitingRequest } from "../../../src/cli/appliance/certificates/identities.ts";
import { installCertificate } from "../../../src/cli/appliance/install.ts";
import { certify, type Subject } from "../../../src/cli/provision/certificates.ts";
import type { AuthorityName } from "../../../src/cli/provision/plan.ts";
import { authoritiesIn } from "../../../src/cli/provision/provision.ts";
import { authority } from "../../support/certificates.ts";
import { type Appliance, makeAppliance, NODE_TOML, OPERATORS_TOML } from "./kit.ts";

const DAY_MS = 86_400_000;
let appliance: Appliance;
let requests: ReadonlyMap<string, WaitingRequest>;

beforeAll(async () => {
  appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", NODE_TOML);
  appliance.put("operators.toml", OPERATORS_TOML);
  await appliance.provision();
  requests = new Map((await requestsOf(appliance.dir)).map((one) => [one.name, one]));
});
afterAll(() => appliance[Symbol.dispose]());

/** A certificate for the request of that name. */
async function signed(name: string, from: AuthorityName, other: Partial<Subject> = {}): Promise<string> {
  const request = requests.get(name);
  if (request === undefined) throw new Error(`there is no request ${name}`);
  const { content } = request;
  const certificate = await certify(await authoritiesIn(appliance.ca, () => {}).get(from), content.publicKey, {
    ...content,
    ...other,
  });
  return certificate.toString("pem");
}

/** One made by hand: validity, and what else `certify` would not do. */
async function made(name: string, wish: { fromMs: number; untilMs: number; usages: string[]; chain?: true }) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const root = await authoritiesIn(appliance.ca, () => {}).get(name === "kx" ? "kms" : "km_servers");
  const middle = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const intermediate = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: "02", subject: "CN=between", issuer: root.certificate.subject, publicKey: middle.publicKey },
    ...{ signingKey: root.privateKey, signingAlgorithm: algorithm },
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const content = requests.get(name)?.content;
  if (content === undefined) throw new Error(`there is no request ${name}`);
  const leaf = await x509.X509CertificateGenerator.create({
    ...{ serialNumber: "03", subject: "CN=km-a", publicKey: content.publicKey, signingAlgorithm: algorithm },
    issuer: wish.chain ? "CN=between" : root.certificate.subject,
    signingKey: wish.chain ? middle.privateKey : root.privateKey,
    notBefore: new Date(Date.now() + wish.fromMs),
    notAfter: new Date(Date.now() + wish.untilMs),
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: content.uri }]),
      new x509.ExtendedKeyUsageExtension(wish.usages),
    ],
  });
  return { leaf: leaf.toString("pem"), intermediate: intermediate.toString("pem") };
}

const [SERVER, CLIENT] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
const refusalOf = (pem: string): string => {
  try {
    return `installed ${installCertificate(appliance.dir, pem).name}`;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
};

describe("refused is", () => {
  test("what is no certificate", () => {
    expect(refusalOf("")).toContain("the text has 0 certificates");
    const broken = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    expect(refusalOf(broken)).toContain("cannot be read");
  });

  test("one for a key of another node", async () => {
    const other = await (await authority("other")).issue({ uris: ["urn:qkm:km:km-a"] });
    expect(refusalOf(other.certificate)).toContain("is for no key of this node");
  });

  test("one for another name", async () => {
    expect(refusalOf(await signed("kx", "kms", { uri: "urn:qkm:km:km-b" }))).toContain("is for urn:qkm:km:km-b, not");
    expect(refusalOf(await signed("kx", "kms", { uri: "urn:qkm:app:km-a" }))).toContain("is not for urn:qkm:km:km-a");
  });

  test("RFC 5280 4.2.1.12: one that does not allow the use", async () => {
    expect(refusalOf(await signed("kx", "kms", { usages: ["server"] }))).toContain("does not allow use as TLS client");
    expect(refusalOf(await signed("server", "km_servers", { usages: ["client"] }))).toContain("as TLS server");
  });

  test("one that has ended or not begun, with the node's clock", async () => {
    const ended = await made("kx", { fromMs: -2 * DAY_MS, untilMs: -DAY_MS, usages: [SERVER, CLIENT] });
    expect(refusalOf(ended.leaf)).toMatch(/ended on \d{4}-\d\d-\d\d \(the node's clock says \d{4}-\d\d-\d\d\)/);
    const early = await made("kx", { fromMs: DAY_MS, untilMs: 2 * DAY_MS, usages: [SERVER, CLIENT] });
    expect(refusalOf(early.leaf)).toContain("begins on");
  });

  test("one that does not lead to the trust anchor", async () => {
    expect(refusalOf(await signed("kx", "apps"))).toContain("does not lead to the trust anchor");
    const { leaf } = await made("server", { fromMs: -DAY_MS, untilMs: DAY_MS, usages: [SERVER], chain: true });
    expect(refusalOf(leaf)).toContain("does not lead to the trust anchor");
  });

  test("and nothing of all that was kept", () => {
    expect(existsSync(appliance.places.kx.cert)).toBe(false);
    expect(existsSync(appliance.places.server.cert)).toBe(false);
  });
});

describe("installed is", () => {
  test("one over an intermediate authority, with it; what is missing is said", async () => {
    const { leaf, intermediate } = await made("server", {
      ...{ fromMs: -DAY_MS, untilMs: DAY_MS, usages: [SERVER], chain: true },
    });
    const installed = installCertificate(appliance.dir, `hello\n${leaf}\n${intermediate}\n`);
    expect(installed.name).toBe("server");
    expect(installed.missing).toEqual(["certificate kx: have the request kx signed and bring it"]);
    expect(readFileSync(appliance.places.server.cert, "utf8").match(/BEGIN/g)).toHaveLength(2);
    expect(existsSync(appliance.places.provisioned)).toBe(false);
  });

  test("the last one that was missing, and the node is provisioned", async () => {
    const installed = installCertificate(appliance.dir, await signed("kx", "kms"));
    expect(installed).toMatchObject({ name: "kx", file: appliance.places.kx.cert, missing: [] });
    expect(existsSync(appliance.places.provisioned)).toBe(true);
  });

  test("a new one in the place of the old one", async () => {
    const pem = await signed("server", "km_servers");
    installCertificate(appliance.dir, pem);
    expect(readFileSync(appliance.places.server.cert, "utf8").trim()).toBe(pem.trim());
  });
});

describe("from the medium", () => {
  const inPlace = () => readFileSync(appliance.places.kx.cert, "utf8").trim();

  test("the later one is taken, never an earlier one; those of other nodes are passed over", async () => {
    const present = inPlace();
    const short = await made("kx", { fromMs: -DAY_MS, untilMs: DAY_MS, usages: [SERVER, CLIENT] });
    appliance.put("certificates/short.pem", short.leaf);
    const stranger = await (await authority("other")).issue({ uris: ["urn:qkm:km:km-b"] });
    appliance.put("certificates/km-b.pem", stranger.certificate);
    expect((await appliance.provision()).refused).toBe(0);
    expect(inPlace()).toBe(present);
    const long = await made("kx", { fromMs: -DAY_MS, untilMs: 9_999 * DAY_MS, usages: [SERVER, CLIENT] });
    appliance.put("certificates/long.pem", long.leaf);
    expect((await appliance.provision()).screen).toContain("certificate kx installed, valid until");
    expect(inPlace()).toBe(long.leaf.trim());
  });

  test("one with this node's name for a key that it does not have is refused", async () => {
    const former = await (await authority("other")).issue({ uris: ["urn:qkm:km:km-a"] });
    appliance.put("certificates/former.pem", former.certificate);
    const { screen, refused } = await appliance.provision();
    expect(refused).toBe(1);
    expect(screen).toContain("is urn:qkm:km:km-a, but for no key that this node has");
    rmSync(join(appliance.medium, "certificates"), { recursive: true });
  });

  test("a certificate that ends soon has its request put there again", async () => {
    rmSync(join(appliance.medium, "requests"), { recursive: true });
    const { leaf } = await made("server", { fromMs: -DAY_MS, untilMs: 30 * DAY_MS, usages: [SERVER] });
    installCertificate(appliance.dir, leaf);
    const { screen, missing } = await appliance.provision();
    expect(missing).toEqual([]);
    expect(screen).toMatch(/certificate server ends on \d{4}-\d\d-\d\d: have the request signed anew/);
    const request = readFileSync(join(appliance.medium, "requests/km-a-server.csr"), "utf8");
    expect(request).toBe(requests.get("server")?.pem);
    expect(existsSync(join(appliance.medium, "requests/km-a-kx.csr"))).toBe(false);
  });
});

describe("spoilt here", () => {
  test("a certificate is missing, and comes again from the medium", async () => {
    writeFileSync(appliance.places.kx.cert, "");
    const { missing, refused } = await appliance.provision();
    expect(missing.map(({ sentence }) => sentence)).toEqual([
      "certificate kx: have the request kx signed and bring it",
    ]);
    expect(refused).toBe(0);
    expect(existsSync(appliance.places.provisioned)).toBe(false);
    appliance.put("certificates/kx.pem", await signed("kx", "kms"));
    expect((await appliance.provision()).missing).toEqual([]);
    expect(existsSync(appliance.places.provisioned)).toBe(true);
  });

  test("a trust anchor is missing, and comes again from the medium", async () => {
    writeFileSync(appliance.places.trust("kms"), "");
    rmSync(join(appliance.medium, "trust"), { recursive: true });
    const { missing } = await appliance.provision();
    expect(missing.map(({ sentence }) => sentence)).toEqual(["trust anchor trust/kms.pem"]);
    await appliance.putTrust();
    expect((await appliance.provision()).missing).toEqual([]);
  });

  test("a private key is put aside, and a new one asks for a new certificate", async () => {
    writeFileSync(appliance.places.kx.key, "no key");
    const { missing, screen } = await appliance.provision();
    expect(screen).toContain(`! the private key kx cannot be read: it is ${appliance.places.kx.key}.before now.`);
    expect(missing.map(({ sentence }) => sentence)).toEqual([
      "certificate kx for the key that is there: have the request kx signed and bring it",
    ]);
    expect(readFileSync(join(appliance.medium, "requests/km-a-kx.csr"), "utf8")).not.toBe(requests.get("kx")?.pem);
  });

  test("a private key that is whole and is not taken stays where it is, and the screen says why", async () => {
    const { key } = appliance.places.kx;
    const strange = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const before = readFileSync(key, "utf8");
    writeFileSync(key, strange);
    const { screen } = await appliance.provision();
    expect(screen).toContain(`! the private key kx (${key}) is not taken: `);
    expect(readFileSync(key, "utf8")).toBe(strange);
    writeFileSync(key, before);
    expect((await appliance.provision()).screen).not.toContain("is not taken");
    expect(readFileSync(key, "utf8")).toBe(before);
  });
});

test("without a configuration there is no certificate to install and no request", async () => {
  using empty = makeAppliance();
  expect(() => installCertificate(empty.dir, "")).toThrow("no configuration yet");
  expect(await requestsOf(empty.dir)).toEqual([]);
});
