// Whether a certificate is what a node would ask for, told without the certificate library.

import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { isFor } from "../../../../src/cli/appliance/certificates/chain.ts";
import { newRequest, readRequest } from "../../../../src/cli/appliance/certificates/request.ts";
import { certify, type Subject } from "../../../../src/cli/provision/certificates.ts";
import { authoritiesIn } from "../../../../src/cli/provision/provision.ts";
import { temporaryFolder } from "../../../memory/support/folder.ts";

const SUBJECT: Subject = {
  uri: "urn:qkm:km:km-a",
  usages: ["server"],
  hosts: ["192.0.2.7", "km-a.example", "2001:db8::7"],
};

const newKey = () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

test("a certificate is for its own key, name and hosts, and for no other", async () => {
  using folder = temporaryFolder();
  const [key, other] = [newKey(), newKey()];
  const { publicKey } = await readRequest(await newRequest(key, SUBJECT));
  const issuer = await authoritiesIn(folder.path, () => {}).get("km_servers");
  const certificate = await certify(issuer, publicKey, SUBJECT);
  const leaf = new X509Certificate(certificate.toString("pem"));

  expect(isFor(leaf, key, SUBJECT)).toBe(true);
  expect(isFor(leaf, key, { ...SUBJECT, hosts: SUBJECT.hosts?.toReversed() ?? [] })).toBe(true);
  expect(isFor(undefined, key, SUBJECT)).toBe(false);
  expect(isFor(leaf, other, SUBJECT)).toBe(false);
  expect(isFor(leaf, key, { ...SUBJECT, uri: "urn:qkm:km:km-b" })).toBe(false);
  expect(isFor(leaf, key, { ...SUBJECT, hosts: ["192.0.2.7", "km-a.example"] })).toBe(false);
  expect(isFor(leaf, key, { ...SUBJECT, hosts: ["192.0.2.7", "km-a.example", "2001:db8::8"] })).toBe(false);
  expect(isFor(leaf, key, { ...SUBJECT, hosts: ["192.0.2.7", "km-b.example", "2001:db8::7"] })).toBe(false);
});
