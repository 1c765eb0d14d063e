// Certificates of other makes in [[apps]]: what an entry may be, and that none fits two applications.

import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/read.ts";
import { FILE, keysOf, nodeToml } from "./node-toml.ts";

const node = (a1: string, a2 = ""): string =>
  nodeToml(`[[apps]]
id = "app-a1"
home = "km-a"
${a1}
[[apps]]
id = "app-a2"
home = "km-a"
${a2}`);

const complaints = (a1: string, a2 = ""): string[] => keysOf(node(a1, a2));

const sha = "0123456789abcdef".repeat(4);
const colons = (sha.match(/../g) ?? []).join(":").toUpperCase();

test("each way to name a certificate is read", () => {
  const written = `certificates = [{ uri = "spiffe://x/y" }, { dns = "E1.example" }, { cn = "e1", issuer = "CN=V,O=W" }, { sha256 = "${colons}" }]`;
  const [app, other] = parseConfig(node(written), FILE).apps;
  expect(app?.certificates).toEqual([
    { uri: "spiffe://x/y" },
    { dns: "E1.example" },
    { cn: "e1", issuer: "CN=V,O=W" },
    { sha256: colons },
  ]);
  expect(other?.certificates).toEqual([]);
});

test.each(["{}", '{ cn = "e1" }', '{ issuer = "CN=V" }', '{ uri = "u:x", dns = "d" }', '{ sha256 = "12" }'])(
  "%s names no certificate",
  (entry) => {
    expect(complaints(`certificates = [${entry}]`).every((key) => key.startsWith("apps[0].certificates[0]"))).toBe(
      true,
    );
    expect(complaints(`certificates = [${entry}]`)).toHaveLength(1);
  },
);

test.each([
  ['{ uri = "u:x" }', '{ uri = "u:x" }'],
  ['{ dns = "E1.example" }', '{ dns = "e1.EXAMPLE" }'],
  ['{ cn = "e1", issuer = "CN=V" }', '{ cn = "e1", issuer = "CN=V" }'],
  [`{ sha256 = "${sha}" }`, `{ sha256 = "${colons}" }`],
])("%s of one application cannot be %s of another", (one, other) => {
  expect(complaints(`certificates = [${one}]`, `certificates = [${other}]`)).toEqual(["apps[1].certificates[0]"]);
});

test("the URI of another application is its own, unless that has certificates of another make", () => {
  const its = 'certificates = [{ uri = "urn:qkm:app:app-a2" }]';
  expect(complaints(its)).toEqual(["apps[0].certificates[0]"]);
  expect(complaints(its, 'certificates = [{ dns = "x" }]')).toEqual([]);
});
