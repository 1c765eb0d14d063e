// docs/appliance.md shows commands that there are, files that are taken, and what the screen says then.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { virtX86 } from "../../boards/virt-x86_64.ts";
import { configIn } from "../../src/cli/appliance/node-config.ts";
import { operatorsIn } from "../../src/cli/appliance/operators.ts";
import { tokensOf, understood } from "../../src/console/commands/command.ts";
import { COMMANDS } from "../../src/console/commands/commands.ts";
import { makeAppliance } from "../cli/appliance/kit.ts";
import { AUDITOR, OPERATOR, SERIAL } from "./support/site.ts";

const MANUAL = readFileSync(new URL("../../docs/appliance.md", import.meta.url), "utf8");

/** The indented block in which these words are. */
function blockWith(words: string): string {
  const blocks = MANUAL.split(/\n(?=\S)/).map((block) => block.split("\n").filter((line) => line.startsWith("    ")));
  const lines = blocks.find((block) => block.some((line) => line.includes(words))) ?? [];
  return `${lines.map((line) => line.slice(4)).join("\n")}\n`;
}

test("every command that is given at a prompt of the manual is one", () => {
  const given = [...MANUAL.matchAll(/^ +km-a# (\S.*)$/gm)].map(([, line = ""]) => line);
  expect(given.length).toBeGreaterThan(4);
  for (const line of given) expect(understood(COMMANDS, tokensOf(line)), line).toHaveProperty("command");
});

test("the manual's config medium is taken, and the screen says what the manual shows", async () => {
  using appliance = makeAppliance();
  await appliance.putTrust();
  appliance.put("node.toml", blockWith("[node]"));
  appliance.put("operators.toml", blockWith("[[operators]]"));
  appliance.put("pairing/ab.key", "0123456789abcdef".repeat(4));
  appliance.put("hosts", "127.0.0.1\n");
  const { screen, refused } = await appliance.provision(virtX86);
  expect(refused, screen).toBe(0);
  expect(configIn(appliance.places)?.links).toMatchObject([{ id: SERIAL.id, port: `usb:0403:6001:${SERIAL.id}` }]);
  expect(operatorsIn(appliance.places)?.map(({ name }) => name)).toEqual([OPERATOR.name, AUDITOR.name]);
  const varying = /SHA-256|PIN of the token|config medium at|trust anchor controllers/;
  const lines = screen.split("\n").filter((line) => line.trim() !== "" && !varying.test(line));
  expect(lines.filter((line) => !MANUAL.includes(line.trim()))).toEqual([]);
});
