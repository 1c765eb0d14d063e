// Identities in certificates: exactly one SAN URI of the right kind, whatever else the certificate says.

import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { Refusal } from "../../../src/net/refusal.ts";
import { uriNames } from "../../../src/net/tls/der.ts";
import { identityOf, type PeerKind } from "../../../src/net/tls/identity.ts";
import { type Authority, authority, type Subject } from "../../support/certificates.ts";

let ca: Authority;
beforeAll(async () => {
  ca = await authority("ca");
});

async function identity(subject: Subject, kind: PeerKind = "app"): Promise<string> {
  const { certificate } = await ca.issue(subject);
  const id = identityOf(new X509Certificate(certificate), kind);
  return id instanceof Refusal ? `${id.reason}: ${id.message.split(": ").slice(1).join(": ")}` : id;
}

test("the one SAN URI names the application, the key manager or the controller", async () => {
  expect(await identity({ uris: ["urn:qkm:app:app-a1"], ips: ["127.0.0.1"], dns: ["x"] })).toBe("app-a1");
  expect(await identity({ uris: ["urn:qkm:km:km:a@b.c_d-e"] }, "km")).toBe("km:a@b.c_d-e");
  expect(await identity({ uris: ["urn:qkm:controller:controller-1"] }, "controller")).toBe("controller-1");
});

test.each<[string, Subject]>([
  ["it has 0 SAN URIs", {}],
  ["it has 0 SAN URIs", { dns: ["urn:qkm:app:app-a1"] }],
  ["it has 2 SAN URIs", { uris: ["urn:qkm:app:app-a1", "urn:qkm:app:app-a2"] }],
  ["it has 2 SAN URIs", { uris: ["urn:qkm:app:app-a1", "https://example.org/"] }],
  ['the SAN URI "urn:qkm:km:km-a" is not urn:qkm:app:<id>', { uris: ["urn:qkm:km:km-a"] }],
  ['the SAN URI "URN:qkm:app:app-a1" is not urn:qkm:app:<id>', { uris: ["URN:qkm:app:app-a1"] }],
  ['the SAN URI "urn:qkm:app:" is not urn:qkm:app:<id>', { uris: ["urn:qkm:app:"] }],
  ['the SAN URI "urn:qkm:app:a/b" is not urn:qkm:app:<id>', { uris: ["urn:qkm:app:a/b"] }],
  ['the SAN URI "urn:qkm:app:a\\u0000b" is not urn:qkm:app:<id>', { uris: ["urn:qkm:app:a\0b"] }],
  ['the SAN URI "urn:qkm:app:a\\n" is not urn:qkm:app:<id>', { uris: ["urn:qkm:app:a\n"] }],
])("refused: %s", async (sentence, subject) => {
  expect(await identity(subject)).toBe(`identity: ${sentence}`);
});

test("each kind of identity is refused where another is wanted", async () => {
  const kinds = ["app", "km", "controller"] as const;
  for (const wanted of kinds) {
    for (const kind of kinds.filter((other) => other !== wanted)) {
      expect(await identity({ uris: [`urn:qkm:${kind}:x`] }, wanted)).toContain(`is not urn:qkm:${wanted}:<id>`);
    }
  }
});

test("names that print like a URI among others do not become one", async () => {
  const forged = "x, URI:urn:qkm:app:forged";
  expect(await identity({ dns: [forged] })).toBe("identity: it has 0 SAN URIs");
  expect(await identity({ dns: [forged], uris: ["urn:qkm:app:real"] })).toBe("real");
  expect(await identity({ uris: ["urn:qkm:app:a, URI:urn:qkm:app:b"] })).toContain("is not urn:qkm:app:<id>");
  expect(await identity({ name: "x, O=URI:urn:qkm:app:forged" })).toBe("identity: it has 0 SAN URIs");
});

test("a certificate cut at any byte, or any other bytes, give a RangeError or no name, never another error", async () => {
  const whole = new X509Certificate((await ca.issue({ uris: ["urn:qkm:app:a"] })).certificate).raw;
  const names = (bytes: Uint8Array): string => {
    try {
      return uriNames(bytes).join();
    } catch (thrown) {
      if (thrown instanceof RangeError) return "refused";
      throw thrown;
    }
  };
  for (let cut = 0; cut < whole.length; cut++) expect(names(whole.subarray(0, cut))).toBe("refused");
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(whole);
      changed[at] = byte;
      expect(typeof names(changed)).toBe("string");
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), (noise) => {
      expect(["", "refused"]).toContain(names(noise));
    }),
  );
});
