// Set-up from nothing: a fresh clone in a path with spaces.

import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { expectQuick } from "../support/busy.ts";
import { tempDir } from "./qkm.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

test("a fresh clone sets itself up, a second time in no time, and then runs qkm on the pinned Node", () => {
  using folder = tempDir();
  const clone = join(folder.path, "a clone");
  execFileSync("git", ["clone", "--quiet", ROOT, clone]);
  const setUp = () => spawnSync(process.execPath, [join(clone, "src/cli/setup.mjs")], { encoding: "utf8" });
  const first = setUp();
  expect(first.stderr).toMatch(/set-up: installing npm packages/);
  expect(first.stderr).toMatch(/set-up: npm packages installed \(\d+ s\)/);
  const others = first.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("set-up: "));
  expect(others, "nothing of what npm says while all goes well").toEqual([]);
  expect(first.status).toBe(0);

  const begun = performance.now();
  expect(setUp()).toMatchObject({ status: 0, stdout: "", stderr: "" });
  expectQuick("a set-up with nothing to do", performance.now() - begun, 1_000);

  const loads = 'require("pkcs11js"), require("lmdb"), require("sodium-native"); process.stdout.write(process.version)';
  const node = join(clone, "node_modules/.bin/node");
  expect(execFileSync(node, ["-e", loads], { cwd: clone, encoding: "utf8" })).toMatch(/^v26\./);
  const help = execFileSync(join(clone, "node_modules/.bin/qkm"), ["--help"], { encoding: "utf8" });
  expect(help).toContain("run the reference network");
});
