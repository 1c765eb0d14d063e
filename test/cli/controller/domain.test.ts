// The file that tells a controller its KMs and links.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDomain } from "../../../src/cli/controller/domain.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-domain-"));
  for (const name of ["own.pem", "own.key", "ca.pem"]) writeFileSync(join(dir, name), `text of ${name}`);
});
afterAll(() => rmSync(dir, { recursive: true }));

const GOOD = `certificate = "own.pem"
key = "own.key"
trust = "ca.pem"

[[kms]]
id = "km-a"
url = "https://192.0.2.7:4164"

[[kms]]
id = "km-b"
url = "https://kmb.example:4164"

[[links]]
id = "ab"
kms = ["km-a", "km-b"]
`;

function read(text: string, name = "domain.toml") {
  writeFileSync(join(dir, name), text);
  return readDomain(join(dir, name));
}

test("TOML or JSON, with paths beside the file, and a cost of 1 unless one is given", () => {
  const { kms, topology, tls } = read(GOOD);
  expect(kms.map(({ id }) => id)).toEqual(["km-a", "km-b"]);
  expect(topology.links).toEqual([{ id: "ab", kms: ["km-a", "km-b"], cost: 1 }]);
  expect(tls).toEqual({ certificate: "text of own.pem", key: "text of own.key", trust: "text of ca.pem" });
  const files = { certificate: "own.pem", key: "own.key", trust: "ca.pem" };
  const json = { ...files, kms: [{ id: "km-a", url: "https://[::1]:1" }], links: [] };
  expect(read(JSON.stringify(json), "domain.json").kms).toEqual(json.kms);
});

test("applications by their homes; without the table the directory is left as it is", () => {
  expect(read(GOOD).apps).toBeUndefined();
  const { apps } = read(`${GOOD}\n[apps]\napp-a1 = "km-a"\n"app:7@x" = "km-b"\n`);
  expect([...(apps ?? [])]).toEqual([
    ["app-a1", "km-a"],
    ["app:7@x", "km-b"],
  ]);
});

describe("what is wrong is refused with exit code 78 and the place", () => {
  test.each([
    ["no TOML", "[", "is not TOML"],
    ["a name that is not known", `colour = 1\n${GOOD}`, "colour"],
    ["an ID that is none", GOOD.replace('id = "km-a"', 'id = "km a"'), "kms.0.id: must be 1 to 64 characters"],
    ["a URL that is none", GOOD.replace("https://192.0.2.7:4164", "http://x"), "kms.0.url: must be such as"],
    ["no KM", `${GOOD.slice(0, GOOD.indexOf("[[kms]]"))}kms = []\nlinks = []\n`, "kms: must have one KM at least"],
    ["a KM twice", GOOD.replace('id = "km-b"', 'id = "km-a"'), "a KM is there twice"],
    ["a link to nowhere", GOOD.replace('["km-a", "km-b"]', '["km-a", "km-x"]'), "link ab ends at km-x, which is none"],
    ["a link of a KM with itself", GOOD.replace('["km-a", "km-b"]', '["km-a", "km-a"]'), "joins km-a with itself"],
    ["a cost below 1", `${GOOD}cost = 0\n`, "links.0.cost: must be at least 1"],
    ["a home that is none of the KMs", `${GOOD}\n[apps]\nx = "km-x"\n`, "the home of x is km-x, which is none"],
    ["an application's ID that is none", `${GOOD}\n[apps]\n"a b" = "km-a"\n`, "must be 1 to 64 characters"],
    ["a certificate that is not there", GOOD.replace("own.pem", "none.pem"), "there is no file"],
  ])("%s", (_, text, why) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ exitCode: 78, message: expect.stringContaining(why) }));
  });

  test("a file that is not there", () => {
    expect(() => readDomain(join(dir, "nothing.toml"))).toThrow(`there is no file ${join(dir, "nothing.toml")}.`);
  });
});
