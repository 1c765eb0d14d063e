// Flushing a SoftHSM token's directory.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { softhsmSettle } from "../../../drivers/pkcs11/durable.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-durable-"));
  mkdirSync(join(dir, "tokens", "0123-4567"), { recursive: true });
  writeFileSync(join(dir, "tokens", "0123-4567", "a.object"), "object");
});
afterEach(() => rmSync(dir, { recursive: true }));

function confOf(text: string): string {
  const path = join(dir, "conf");
  writeFileSync(path, text);
  return path;
}

test("it flushes the token's files, its directory and the directory of tokens, which it finds by the configuration", async () => {
  mkdirSync(join(dir, "tokens", "89ab-cdef"));
  await using probe = await open(dir, "r");
  const sync = vi.spyOn(Object.getPrototypeOf(probe), "sync");
  const settle = await softhsmSettle(
    confOf(`# a comment\nlog.level = ERROR\n  directories.tokendir=${join(dir, "tokens")} \n`),
    "4567",
  );
  await settle();
  expect(sync).toHaveBeenCalledTimes(3);
  sync.mockRestore();
});

test("it rejects when the token directory is gone", async () => {
  const settle = await softhsmSettle(confOf(`directories.tokendir = ${join(dir, "away")}\n`), "4567");
  await expect(settle()).rejects.toThrow("ENOENT");
});

test("a configuration without a token directory, and none at all, are refused", async () => {
  await expect(softhsmSettle(confOf("log.level = ERROR\n"), "4567")).rejects.toThrow("directories.tokendir");
  await expect(softhsmSettle(join(dir, "none"), "4567")).rejects.toThrow("ENOENT");
});
