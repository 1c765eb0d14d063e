// `npm run board` tells at once what it was not asked rightly; test:board shows what it does otherwise.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BOARD = fileURLToPath(new URL("../../boards/qemu/main.ts", import.meta.url));

const board = (...args: readonly string[]) => spawnSync(process.execPath, [BOARD, ...args], { encoding: "utf8" });

test.for([
  ["no board", []],
  ["a board that QEMU is not", ["generic-x86_64"]],
] as const)("%s: usage, and exit code 2", ([, args]) => {
  const { status, stdout } = board(...args);
  expect(status).toBe(2);
  expect(stdout).toContain("usage: npm run board -- virt-x86_64");
});

test.for([
  ["a port that is none", ["--forward", "4014:etsi"], "--forward 4014:etsi: name a port here and one of the appliance"],
  ["an option that there is not", ["--disk", "x"], "Unknown option '--disk'"],
] as const)("%s: the sentence that says so, and nothing is built", ([, args, sentence]) => {
  const { status, stdout, stderr } = board("virt-x86_64", ...args);
  expect(status).toBe(1);
  expect(stderr).toContain(sentence);
  expect(stdout).toBe("");
});
