// The search itself: whatever lies in a buffer is found, at any place, and nothing else.

import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { Secrets } from "./support/secrets.ts";

const KEYS = Array.from({ length: 300 }, () => randomBytes(32));
const BLOCK = randomBytes(4_096);

const secrets = new Secrets();
for (const [index, key] of KEYS.entries()) secrets.addKey(`key ${index}`, key);
secrets.addBlock("block", BLOCK);

function found(haystack: Buffer): string[] {
  const all: string[] = [];
  secrets.needles.find(haystack, (needle, offset, at) => {
    all.push(`${secrets.name(needle.secret)} ${needle.spelling} ${offset} ${at}`);
  });
  return all;
}

const SPELLINGS: readonly [string, (key: Buffer) => Buffer][] = [
  ["raw", (key) => key],
  ["base64", (key) => Buffer.from(key.toString("base64"))],
  ["base64", (key) => Buffer.from(key.toString("base64url"))],
  ["hex", (key) => Buffer.from(key.toString("hex"))],
  ["hex", (key) => Buffer.from(key.toString("hex").toUpperCase())],
  ["wide base64", (key) => Buffer.from(key.toString("base64"), "utf16le")],
  ["wide hex", (key) => Buffer.from(key.toString("hex"), "utf16le")],
];

test.each(SPELLINGS)("a key as %s is found at any place, among zeros and among noise", (spelling, spell) => {
  for (const [index, key] of KEYS.entries()) {
    for (const page of [Buffer.alloc(10_000), randomBytes(10_000)]) {
      const at = index * 7;
      spell(key).copy(page, at);
      expect(found(page)).toContain(`key ${index} ${spelling} 0 ${at}`);
    }
  }
});

test.each([
  ["15 bytes in a row of a key", 15, KEYS[0] ?? BLOCK],
  ["31 letters in a row of a key", 31, Buffer.from(KEYS[0]?.toString("base64") ?? "")],
  ["39 bytes in a row of a block", 39, BLOCK],
])("any %s are found", (_what, bytes, secret) => {
  for (let offset = 0; offset + bytes <= secret.length; offset++) {
    const page = Buffer.alloc(64);
    secret.copy(page, 9, offset, offset + bytes);
    expect(found(page).length, `from ${offset}`).toBeGreaterThan(0);
  }
});

test("bytes that a key and a block have in common are the key's", () => {
  const own = new Secrets();
  own.addKey("key", BLOCK.subarray(96, 128));
  own.addBlock("block", BLOCK);
  const names: string[] = [];
  own.needles.find(BLOCK, (needle) => names.push(own.name(needle.secret)));
  expect(names.filter((name) => name === "key")).toHaveLength(4);
  expect(names.filter((name) => name === "block")).toHaveLength(BLOCK.length / 32 - 1);
});

test("nothing is found where there is nothing", () => {
  expect(found(randomBytes(1_000_000))).toEqual([]);
  expect(found(Buffer.alloc(1_000_000))).toEqual([]);
});
