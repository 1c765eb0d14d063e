// An appliance without certificates, brought to all it needs over its console: log in, requests out, certificates in.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requestsOf } from "../../../src/cli/appliance/certificates/identities.ts";
import { consoleNode } from "../../../src/cli/console/node.ts";
import { certify } from "../../../src/cli/provision/certificates.ts";
import { authoritiesIn } from "../../../src/cli/provision/provision.ts";
import { Terminal } from "../../console/terminal.ts";
import { type Appliance, makeAppliance, NODE_TOML, OPERATORS_TOML } from "../appliance/kit.ts";

let appliance: Appliance;

beforeAll(async () => {
  appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", NODE_TOML);
  appliance.put("operators.toml", OPERATORS_TOML);
  await appliance.provision();
});
afterAll(() => appliance[Symbol.dispose]());

test("each request that the console shows can be signed and pasted back, and the node has all that it needs", async () => {
  const { dir } = appliance;
  const places = { dir, board: "host", medium: dir, run: dir };
  const terminal = new Terminal(consoleNode(places, () => {})).as("olga");
  await terminal.shows("The key manager does not run");
  await terminal.shows(/km-a# /);
  await terminal.command("set pager off");
  const shown = (await terminal.command("certificate request")).replaceAll("\r\n", "\n");
  const requests = await requestsOf(dir);
  expect(requests.map(({ name }) => name)).toEqual(["server", "kx"]);
  for (const { pem } of requests) expect(shown).toContain(pem.trim());
  expect(existsSync(join(dir, "provisioned"))).toBe(false);

  terminal.type("certificate install\r-----BEGIN CERTIFICATE-----\rAAAA\r-----END CERTIFICATE-----\r\r");
  await terminal.shows("certificate");
  await terminal.shows(/km-a# /);
  for (const { name, content } of requests) {
    const from = await authoritiesIn(appliance.ca, () => {}).get(name === "kx" ? "kms" : "km_servers");
    const pem = (await certify(from, content.publicKey, content)).toString("pem");
    terminal.type(`certificate install\r${pem.replaceAll("\n", "\r")}\r\r`);
    await terminal.shows(`certificate for ${name} installed, valid until 20`);
    await terminal.shows(/km-a# /);
  }
  expect(existsSync(join(dir, "provisioned"))).toBe(true);
  await terminal.hangUp();
});
