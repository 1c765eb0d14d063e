// The search for key bytes finds what a careless log line would have.

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { drawBytes } from "../support/seed.ts";
import { rawNeedles, spelledNeedles } from "./support/scan.ts";

const keys = Array.from({ length: 50 }, (_, index) => ({ id: String(index), key: drawBytes(8 + 8 * (index % 5)) }));
const needles = spelledNeedles(keys);

const spellings: readonly [string, (key: Buffer) => string][] = [
  ["raw", (key) => key.toString("latin1")],
  ["in hex", (key) => key.toString("hex")],
  ["in upper-case hex", (key) => key.toString("hex").toUpperCase()],
  ["in base64", (key) => key.toString("base64")],
  ["in base64url", (key) => key.toString("base64url")],
  [
    "in base64 behind one other byte",
    (key) => Buffer.concat([Buffer.from("x"), key, Buffer.from("yz")]).toString("base64"),
  ],
  [
    "in base64 behind two other bytes",
    (key) => Buffer.concat([Buffer.from("xy"), key, Buffer.from("z")]).toString("base64"),
  ],
  ["as SHA-256 in hex", (key) => createHash("sha256").update(key).digest("hex")],
  ["as SHA-256 in base64", (key) => createHash("sha256").update(key).digest("base64")],
];

test.each(spellings)("a key %s is found in a log line", (_name, spelt) => {
  for (const { id, key } of keys) {
    const line = Buffer.from(`{"level":"info","value":"${spelt(key)}"}`, "latin1");
    expect(needles.find(line).join()).toMatch(new RegExp(`key ${id}, `));
  }
});

test("raw key bytes are found at any place, and nothing where there are none", () => {
  const words = new Set(keys.map(({ key }) => key.toString("latin1", 0, 8)));
  const page = drawBytes(100_000);
  expect(rawNeedles(words).find(page)).toEqual([]);
  expect(needles.find(page)).toEqual([]);
  keys[7]?.key.copy(page, 54_321);
  expect(rawNeedles(words).find(page)).toEqual(["raw key bytes at byte 54321"]);
});
