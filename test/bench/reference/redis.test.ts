// What Redis is filled with, and what is read of its benchmark.

import { describe, expect, test } from "vitest";
import { popsPerSecond, valueBytes } from "./redis.ts";

/** RESP2: a bulk string. */
const answerOf = (bytes: number): number => `$${bytes}\r\n`.length + bytes + "\r\n".length;

describe("a value of Redis", () => {
  test("makes its answer as long as ours, or one byte shorter where no value does", () => {
    const lengths = Array.from({ length: 1_200 }, (_, at) => at + 7);
    const wrong = lengths.filter((bytes) => answerOf(valueBytes(bytes)) !== bytes);
    expect(wrong).toEqual([16, 107, 1008]);
    expect(wrong.map((bytes) => answerOf(valueBytes(bytes)))).toEqual([15, 106, 1007]);
  });
});

describe("what redis-benchmark says", () => {
  test("is read as pops a second", () => {
    const csv = '"test","rps","avg_latency_ms","min_latency_ms"\n"LPOP keys","749625.19","0.640","0.104"\n';
    expect(popsPerSecond(csv)).toBe(749_625.19);
  });

  test("is an error when it has measured something else", () => {
    expect(() => popsPerSecond("Could not connect")).toThrow("has measured nothing: Could not connect");
  });
});
