// How long keys may be, and how many fit an answer.

import { describe, expect, test } from "vitest";
import { fitAnswer, keySizes, stepped } from "../../../src/keys/common/sizes.ts";

describe("keys", () => {
  test.each([
    [32_768, 32_704],
    [8192, 32_704],
    [4096, 32_000],
  ])("of blocks of %i bytes have 64 to %i bits", (blockBytes, maxBits) => {
    expect(keySizes(256, blockBytes)).toMatchObject({ defaultBits: 256, minBits: 64, maxBits });
  });

  test("take whole steps of 8 bytes", () => {
    expect([8, 9, 16, 4088].map(stepped)).toEqual([8, 16, 16, 4088]);
  });
});

describe("an answer", () => {
  const answerOf = (count: number, bytes: number): number =>
    JSON.stringify({
      keys: Array.from({ length: count }, () => ({
        key_ID: "00000000-0100-8c02-83ff-ffffffffffff",
        key: Buffer.alloc(bytes).toString("base64"),
      })),
      response: "success",
    }).length;

  test.each([64, 72, 128, 256, 1000, 4096, 32_704])("of as many keys of %i bits as may be fits a frame", (bits) => {
    const most = keySizes(256, 32_768).maxKeys(bits);
    expect(answerOf(most, bits / 8)).toBeLessThanOrEqual(65_535);
    expect(answerOf(most + 1, bits / 8)).toBeGreaterThan(65_535 - 60);
    expect(fitAnswer(Array.from({ length: most }, () => bits / 8))).toBe(true);
    expect(fitAnswer(Array.from({ length: most + 1 }, () => bits / 8))).toBe(false);
  });
});
