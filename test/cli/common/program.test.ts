// What every command says of itself.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { programFor } from "../../../src/cli/common/program.ts";

const COMMANDS = [
  ...["up", "init", "run", "check", "forget", "accept-module", "console", "status", "selftest", "view", "controller"],
  ...["app get-key", "app get-key-by-id", "app session", "app listen"],
  ...["ca issue", "ca renew", "ca revoke", "ca crl"],
  ...["cluster status", "cluster hand-over"],
  ...["audit verify", "audit show", "audit trace", "zeroise", "module", "bench", "forget", "accept-module"],
  ...["completion", "reload", "boxes"],
  ...["appliance provision", "appliance sign", "appliance ports"],
];

test.each(COMMANDS)("%s has a help with an example", async (command) => {
  let said = "";
  const [name = "", ...rest] = command.split(" ");
  const program = await programFor(name);
  const called = [name, ...rest].reduce((at, word) => at.commands.find((one) => one.name() === word) ?? at, program);
  called.configureOutput({ writeOut: (text) => (said += text) }).outputHelp();
  expect(said).toContain(`qkm ${command}`);
  expect(said).toMatch(/Examples?:\n {2}qkm /);
});

test("without a command all are known", async () => {
  const names = (await programFor("")).commands.map((command) => command.name());
  expect(new Set(names)).toEqual(new Set(COMMANDS.map((command) => command.split(" ")[0])));
});

test("--version tells the version of the package, and nothing else", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  let said = "";
  const program = (await programFor("--version")).configureOutput({ writeOut: (text) => (said += text) });
  await expect(program.parseAsync(["--version"], { from: "user" })).rejects.toMatchObject({ exitCode: 0 });
  expect(said).toBe(`${version}\n`);
});
