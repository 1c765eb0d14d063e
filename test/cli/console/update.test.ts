// Tests of src/cli/console/update.ts where there is no RAUC, or one that goes away.

import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installUpdate } from "../../../src/cli/console/update.ts";
import { until } from "../../support/until.ts";

const PATH = process.env.PATH;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-update-"));
  process.env.PATH = dir;
});

afterEach(() => {
  process.env.PATH = PATH;
  rmSync(dir, { recursive: true });
});

function rauc(script: string): void {
  writeFileSync(join(dir, "rauc"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, "rauc"), 0o700);
}

const never = new AbortController().signal;

test("a system without rauc says so", async () => {
  await expect(installUpdate("x.raucb", () => {}, never)).rejects.toThrow("rauc is not installed here");
});

test("rauc that ends without a word is told by its exit code, and one that is killed is no success", async () => {
  rauc("exit 3");
  await expect(installUpdate("x.raucb", () => {}, never)).rejects.toThrow("rauc ended (3)");
  rauc("kill -9 $$");
  await expect(installUpdate("x.raucb", () => {}, never)).rejects.toThrow("the update was not installed");
});

test("a person who goes away ends it", async () => {
  rauc('echo "  0% Installing"; while :; do :; done');
  const lines: string[] = [];
  const gone = new AbortController();
  const update = installUpdate("x.raucb", (line) => lines.push(line), gone.signal);
  const refused = expect(update).rejects.toThrow("aborted");
  await until("it has begun", () => lines.length === 1);
  gone.abort();
  await refused;
  expect(lines).toEqual(["  0% Installing"]);
});
