// What an update would change, as RAUC itself tells it of a bundle that was signed, and of one that was not.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { changesBetween, packagesIn, updateContents } from "../../../src/cli/console/contents.ts";

const NOW = "libssl3\t3.0.1\nnftables\t1.0\nsocat\t1.7\ntar\t1.34\n";
const PATH = process.env.PATH;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-contents-"));
});

afterEach(() => {
  process.env.PATH = PATH;
  rmSync(dir, { recursive: true });
});

/** A stand-in for RAUC's `info`, which test:board asks for real. */
function rauc(script: string): void {
  writeFileSync(join(dir, "rauc"), `#!/bin/sh\n${script}\n`, { mode: 0o700 });
  process.env.PATH = dir;
}

test("security fixes come first, then what else changes, is new, or goes", () => {
  const next = packagesIn("nftables 1.1\nlibssl3 3.0.2 security\nsocat 1.7 security\ncurl 7.8 security\n");
  expect(changesBetween(packagesIn(NOW), next)).toEqual([
    "  libssl3 3.0.1 -> 3.0.2  security fix",
    "  nftables 1.0 -> 1.1",
    "  curl new, 7.8",
    "  tar goes",
  ]);
});

test.for([
  ["has no list", { version: "2" }, ["1 -> 2", "The update does not say which packages it has."]],
  [
    "has the same packages",
    { version: "2", description: NOW.trim().replaceAll("\t", " ").replaceAll("\n", ";") },
    ["1 -> 2", "Debian's packages stay as they are."],
  ],
  [
    "fixes one",
    { version: "2", description: "libssl3 3.0.2 security;nftables 1.0;socat 1.7;tar 1.34" },
    ["1 -> 2", "Debian's packages that change: 1, security fixes: 1", "  libssl3 3.0.1 -> 3.0.2  security fix"],
  ],
] as const)("an update that %s", async ([, manifest, lines]) => {
  const [packages, release] = ["packages", "release"].map((name) => join(dir, name));
  writeFileSync(packages ?? "", NOW);
  writeFileSync(release ?? "", "1\n");
  rauc(`echo '${JSON.stringify(manifest)}'`);
  expect(await updateContents("x.raucb", { packages: packages ?? "", release: release ?? "" })).toEqual(lines);
});

test("what RAUC does not take is refused with its last words", async () => {
  rauc("echo 'signature verification failed' >&2; exit 1");
  await expect(updateContents("x.raucb")).rejects.toThrow("signature verification failed");
});

test("a system without RAUC says so", async () => {
  process.env.PATH = dir;
  await expect(updateContents("x.raucb")).rejects.toThrow("rauc is not installed here");
});
