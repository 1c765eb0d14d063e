// Provisioning: a token that the driver opens, with PINs that only their owner can read.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findSofthsm, initToken } from "../../../drivers/pkcs11/provision.ts";
import { openPkcs11Token } from "../../../drivers/pkcs11/token.ts";
import { keptLog } from "../../support/softhsm.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm-provision-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const place = (label = "km-a") => ({
  dir: join(dir, "hsm"),
  label,
  pinFile: join(dir, `${label}.pin`),
  soPinFile: join(dir, `${label}.so-pin`),
});
const mode = (...path: string[]) => statSync(join(dir, ...path)).mode & 0o777;

test("it makes a token that the driver opens and the maker's own tool lists", async () => {
  const made = initToken(place());
  expect(made).toMatchObject({ created: true, label: "km-a", module: findSofthsm() });
  const listed = execFileSync("/usr/bin/softhsm2-util", ["--show-slots"], {
    env: { ...process.env, SOFTHSM2_CONF: made.softhsmConf },
    encoding: "utf8",
  });
  expect(listed).toMatch(/Label:\s+km-a\s/);
  await using token = await openPkcs11Token(made, keptLog());
  await token.generate("first");
});

test("PINs, configuration and tokens are for their owner alone, and the two PINs differ", () => {
  initToken(place());
  expect([mode("km-a.pin"), mode("km-a.so-pin"), mode("hsm", "softhsm2.conf")]).toEqual([0o600, 0o600, 0o600]);
  expect([mode("hsm"), mode("hsm", "tokens")]).toEqual([0o700, 0o700]);
  const pins = [readFileSync(place().pinFile, "latin1"), readFileSync(place().soPinFile, "latin1")];
  expect(pins.every((pin) => /^[0-9a-f]{32}$/.test(pin))).toBe(true);
  expect(pins[0]).not.toBe(pins[1]);
});

test("a token that is there is left as it is, with its keys and PIN", async () => {
  const made = initToken(place());
  {
    await using token = await openPkcs11Token(made, keptLog());
    await token.generate("kept");
  }
  expect(initToken(place())).toEqual({ ...made, created: false });
  await using token = await openPkcs11Token(made, keptLog());
  expect(await token.find("kept")).toHaveLength(1);
});

test("several tokens fit in one directory, also while one of them is open", async () => {
  await using first = await openPkcs11Token(initToken(place("km-a")), keptLog());
  await using second = await openPkcs11Token(initToken(place("km-b")), keptLog());
  expect([first.info.label, second.info.label]).toEqual(["km-a", "km-b"]);
  await first.check();
});

test.each(["", "x".repeat(33), "\u00e9".repeat(17)])("the label %j is refused", (label) => {
  expect(() => initToken(place(label))).toThrow("1 to 32 bytes");
});

test("a label of the longest kind is found again", async () => {
  const label = `${"\u00e9".repeat(15)}ab`;
  await using token = await openPkcs11Token(initToken({ ...place("long"), label }), keptLog());
  expect(token.info.label).toBe(label);
});
