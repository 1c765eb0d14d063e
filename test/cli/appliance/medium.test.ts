// The config medium as a folder: what counts as one, what is read, and how a secret is removed.

import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Medium, openMedium } from "../../../src/cli/appliance/medium.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "qkm medium "));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function opened(): Medium {
  writeFileSync(join(dir, "any"), "");
  const medium = openMedium(dir);
  if (medium === undefined) throw new Error("there is no medium");
  return medium;
}

describe("a medium", () => {
  test("is there when something is mounted or lies there, not when the folder is empty or missing", () => {
    expect(openMedium(dir)).toBeUndefined();
    expect(openMedium(join(dir, "none"))).toBeUndefined();
    expect(openMedium("/proc/self/fdinfo/none")).toBeUndefined();
    expect(openMedium("/proc")).toBeDefined();
    expect(opened().dir).toBe(dir);
  });

  test("has texts without the mark of some editors, and lists by ending, in order", () => {
    const medium = opened();
    expect(medium.text("none")).toBeUndefined();
    expect(medium.list("trust", ".pem")).toEqual([]);
    mkdirSync(join(dir, "trust"));
    for (const name of ["b.pem", "a.pem", "._a.pem", "c.txt"]) writeFileSync(join(dir, "trust", name), `\uFEFF${name}`);
    expect(medium.list("trust", ".pem")).toEqual(["trust/a.pem", "trust/b.pem"]);
    expect(medium.text("trust/a.pem")).toBe("a.pem");
  });

  test("is not read where it could hang, lead elsewhere or fill the memory", () => {
    const medium = opened();
    execFileSync("mkfifo", [join(dir, "pipe")]);
    symlinkSync("/etc/passwd", join(dir, "link"));
    writeFileSync(join(dir, "large"), Buffer.alloc((1 << 20) + 1));
    mkdirSync(join(dir, "folder"));
    expect(() => medium.text("pipe")).toThrow("is no plain file");
    expect(() => medium.text("folder")).toThrow("is no plain file");
    expect(() => medium.text("link")).toThrow("cannot be read (ELOOP)");
    expect(() => medium.text("large")).toThrow("is larger than");
    for (let at = 0; at < 257; at++) writeFileSync(join(dir, "folder", `${at}.pem`), "");
    expect(() => medium.list("folder", ".pem")).toThrow("more than 256 files");
  });

  test("takes a file whole, and leaves one with the same content alone", () => {
    const medium = opened();
    expect(medium.put("requests/a.csr", "a request")).toBe(true);
    expect(readFileSync(join(dir, "requests/a.csr"), "utf8")).toBe("a request");
    expect(existsSync(join(dir, "requests/a.csr.new"))).toBe(false);
    expect(medium.put("any/a.csr", "below a file")).toBe(false);
  });

  test("loses a secret by zeros over it, then by its name", () => {
    const medium = opened();
    writeFileSync(join(dir, "pin"), "4711471147");
    linkSync(join(dir, "pin"), join(dir, "same blocks"));
    expect(medium.destroy("pin")).toBe(true);
    expect(existsSync(join(dir, "pin"))).toBe(false);
    expect(readFileSync(join(dir, "same blocks"))).toEqual(Buffer.alloc(10));
    expect(medium.destroy("pin")).toBe(false);
  });

  test("has no secret whose overwriting was cut short, and brings that to its end", () => {
    const medium = opened();
    for (const read of [medium.text, medium.bytes]) {
      writeFileSync(join(dir, "operators.toml"), Buffer.concat([Buffer.alloc(512), Buffer.from('pin = "4711"')]));
      linkSync(join(dir, "operators.toml"), join(dir, read.name));
      expect(read("operators.toml")).toBeUndefined();
      expect(existsSync(join(dir, "operators.toml"))).toBe(false);
      expect(readFileSync(join(dir, read.name)).every((byte) => byte === 0)).toBe(true);
    }
    writeFileSync(join(dir, "key"), Buffer.alloc(32).fill(1, 31));
    expect(medium.bytes("key")).toHaveLength(32);
  });
});
