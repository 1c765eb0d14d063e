// Applications with certificates of other makes at the door: known by URI, DNS name, CN with issuer, or fingerprint.

import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import { beforeAll, expect, it } from "vitest";
import type { CertificateName } from "../../src/core/certificate-names.ts";
import { startEtsi014 } from "../../src/etsi014/server.ts";
import { Refusal } from "../../src/net/refusal.ts";
import { identifier } from "../../src/net/tls/certificate-names.ts";
import { type Authority, authority, forIdentity, material, type Subject } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { recorder } from "../support/recorder.ts";
import { FakeDoor } from "./fake-door.ts";

let ca: Authority;
beforeAll(async () => {
  ca = await authority("vendor");
});

/** Whose a certificate is, of app-a1 with these names and app-a2 with the DNS name `two`. */
async function whose(subject: Subject, ...certificates: readonly CertificateName[]): Promise<string | undefined> {
  const { certificate } = await ca.issue(subject);
  const identify = identifier([
    { id: "app-a1", certificates },
    { id: "app-a2", certificates: [{ dns: "two" }] },
    { id: "app-a3", certificates: [] },
  ]);
  const id = identify?.(new X509Certificate(certificate));
  return id instanceof Refusal ? id.reason : id;
}

it("each kind of name is found, and only whole", async () => {
  const subject = { name: "enc-1", uris: ["spiffe://x/y"], dns: ["Enc.example"] };
  expect(await whose(subject, { uri: "spiffe://x/y" })).toBe("app-a1");
  expect(await whose(subject, { uri: "spiffe://x" })).toBeUndefined();
  expect(await whose(subject, { dns: "enc.EXAMPLE" })).toBe("app-a1");
  expect(await whose(subject, { cn: "enc-1", issuer: "CN=vendor" })).toBe("app-a1");
  expect(await whose(subject, { cn: "enc-1", issuer: "CN=another" })).toBeUndefined();
  expect(await whose(subject, { cn: "enc", issuer: "CN=vendor" })).toBeUndefined();
});

it("one that fits two applications is refused", async () => {
  expect(await whose({ uris: ["u:x"], dns: ["two"] }, { uri: "u:x" })).toBe("identity");
});

it("our URI is nobody's whose certificates are described, and works for all others", async () => {
  expect(await whose({ uris: ["urn:qkm:app:app-a1"] }, { uri: "u:x" })).toBe("identity");
  expect(await whose({ uris: ["urn:qkm:app:app-a3"] }, { uri: "u:x" })).toBeUndefined();
  expect(await whose({ uris: ["urn:qkm:app:app-a1"] })).toBeUndefined();
});

it("nothing is looked for where no application has any", () => {
  expect(identifier([{ id: "app-a1", certificates: [] }])).toBeUndefined();
});

it("a vendor's certificate, known by its fingerprint, is served as its application", async () => {
  const [km, own] = [await forIdentity(ca, "km", "km-a"), await ca.issue({ name: "box 7" })];
  const sha256 = new X509Certificate(own.certificate).fingerprint256;
  const [door, told] = [new FakeDoor(), recorder()];
  await using server = await startEtsi014(
    {
      listen: { host: "127.0.0.1", port: 0 },
      tls: material(km, ca),
      requireHybrid: false,
      mostSlaves: 0,
      maxConnections: 9,
      memory: new Uint8Array(65_536),
    },
    {
      ...{ door, clock: new ManualClock(), log: told.log, meter: told.meter, admit: () => undefined },
      identify: identifier([{ id: "app-a1", certificates: [{ sha256 }] }]),
    },
  );
  const status = await new Promise((resolve, reject) => {
    const path = "/api/v1/keys/app-b1/enc_keys";
    const tls = { cert: own.certificate, key: own.key, ca: ca.pem, agent: false as const };
    const asking = request({ host: "127.0.0.1", port: server.port, path, ...tls }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    });
    asking.once("error", reject).end();
  });
  expect(status).toBe(200);
  expect(door.asked[0]?.request).toMatchObject({ app: "app-a1" });
});
