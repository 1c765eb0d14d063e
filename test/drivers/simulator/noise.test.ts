// The bad line of the simulator: how often it hurts, and that chopping changes nothing.

import { expect, test } from "vitest";
import { seededRandom } from "../../../drivers/simulator/material.ts";
import { noise } from "../../../drivers/simulator/noise.ts";

const clean = Buffer.alloc(100_000, 0x55);

function through(flip: number, drop: number, piece: number): Buffer {
  const hurt = noise(flip, drop, seededRandom("noise"));
  const pieces: Buffer[] = [];
  for (let at = 0; at < clean.length; at += piece) pieces.push(hurt(Buffer.from(clean.subarray(at, at + piece))));
  return Buffer.concat(pieces);
}

test("without noise bytes pass as they are", () => {
  expect(through(0, 0, 1_000).equals(clean)).toBe(true);
});

test.each([1, 17, 100_000])("one byte in a hundred is flipped by one bit, in pieces of %i", (piece) => {
  const hurt = through(0.01, 0, piece);
  const flipped = [...hurt].map((byte) => byte ^ 0x55).filter((bits) => bits !== 0);
  expect(hurt.length).toBe(clean.length);
  expect(flipped.length).toBeGreaterThan(850);
  expect(flipped.length).toBeLessThan(1_150);
  expect(flipped.every((bits) => (bits & (bits - 1)) === 0)).toBe(true);
});

test.each([1, 17, 100_000])("one byte in a hundred is missing, in pieces of %i", (piece) => {
  const missing = clean.length - through(0, 0.01, piece).length;
  expect(missing).toBeGreaterThan(850);
  expect(missing).toBeLessThan(1_150);
});

test("with probability 1 every byte is hit", () => {
  expect(through(0, 1, 100_000).length).toBe(0);
  expect(through(1, 0, 100_000).every((byte) => byte !== 0x55)).toBe(true);
});
