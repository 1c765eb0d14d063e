// The examples of docs/provisioning.md are taken as they stand there.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { virtX86 } from "../../../boards/virt-x86_64.ts";
import { configIn } from "../../../src/cli/appliance/node-config.ts";
import { operatorsIn } from "../../../src/cli/appliance/operators.ts";
import { makeAppliance } from "./kit.ts";

const MANUAL = readFileSync(new URL("../../../docs/provisioning.md", import.meta.url), "utf8");

/** The indented lines below a heading. */
function exampleOf(heading: string): string {
  const [section = ""] = MANUAL.split(`### ${heading}\n`)[1]?.split("\n#") ?? [];
  const lines = section.split("\n").filter((line) => line.startsWith("    "));
  return `${lines.map((line) => line.trim()).join("\n")}\n`;
}

test("the manual's node.toml and operators.toml are right", async () => {
  using appliance = makeAppliance();
  appliance.put("node.toml", exampleOf("node.toml"));
  appliance.put("operators.toml", exampleOf("operators.toml"));
  const { screen, refused } = await appliance.provision(virtX86);
  expect(refused, screen).toBe(0);
  const config = configIn(appliance.places);
  expect(config?.links.map(({ id }) => id)).toEqual(["ab"]);
  expect(config?.apps.map(({ id }) => id)).toEqual(["app-a1", "app-b1"]);
  expect(operatorsIn(appliance.places)?.map(({ name }) => name)).toEqual(["alice", "bob"]);
});

test("the manual shows every sentence of a first boot that a person reads", async () => {
  using appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", exampleOf("node.toml"));
  appliance.put("operators.toml", exampleOf("operators.toml"));
  const first = await appliance.provision(virtX86);
  await appliance.sign();
  const last = await appliance.provision(virtX86);
  const varying = /SHA-256|PIN of the token|config medium at|trust anchor controllers|valid until/;
  const lines = `${first.screen}\n${last.screen}`.split("\n").filter((line) => line !== "" && !varying.test(line));
  const unknown = lines.filter((line) => !MANUAL.includes(line));
  expect(unknown).toEqual([]);
});
