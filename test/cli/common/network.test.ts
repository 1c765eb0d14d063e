// network.json as a person may name it wrongly.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { CommandError, EXIT } from "../../../src/cli/common/exit.ts";
import { readNetwork } from "../../../src/cli/common/network.ts";

const dir = mkdtempSync(join(tmpdir(), "qkm-network-"));
afterAll(() => rmSync(dir, { recursive: true }));

const SECRET = "MIIEvQIBADANBg";

/** What reading a file of this text throws. */
function thrownAt(text: string): unknown {
  const path = join(dir, "some.json");
  writeFileSync(path, text);
  try {
    return readNetwork(path);
  } catch (thrown) {
    return thrown;
  }
}

test.each([
  ["a private key", `-----BEGIN PRIVATE KEY-----\n${SECRET}\n`],
  ["a word", SECRET],
  ["half a file", `{"kms":[{"id":"${SECRET}`],
  ["an empty file", ""],
  ["another JSON file", `{"key":"${SECRET}"}`],
  ["a list", `["${SECRET}"]`],
  ["nothing in JSON", "null"],
])("%s is refused in a sentence that has no piece of it", (_, text) => {
  const thrown = thrownAt(text);
  expect(thrown).toBeInstanceOf(CommandError);
  expect(thrown).toMatchObject({ exitCode: EXIT.config, cause: undefined });
  expect(String(thrown)).toContain(join(dir, "some.json"));
  expect(String(thrown)).not.toContain(SECRET.slice(0, 4));
  expect(String(thrown)).not.toContain("BEGIN");
});

test("a network.json is taken as it is", () => {
  const network = { kms: [], links: [], apps: [], ca: {}, controller: {} };
  expect(thrownAt(JSON.stringify(network))).toEqual(network);
});
