// Frames with keys: as long as foretold, whatever their IDs.

import { expect, test } from "vitest";
import { frameBytes, writeKeys } from "../../src/ak/answer.ts";
import { idsOf } from "../../src/ak/push.ts";
import type { Grant } from "../../src/keys/ports/keys.ts";
import { keyBytes } from "./fake-door.ts";

/** Keys of 8, 16, … bytes under these IDs. */
function grantOf(ids: readonly string[]): Grant {
  return {
    count: ids.length,
    size: (index) => 8 * (index + 1),
    idBytes: (index) => ids[index]?.length ?? 0,
    writeId: (index, target, at) => at + Buffer.from(ids[index] ?? "", "latin1").copy(target, at),
    writeKey: (index, target, at) => at + Buffer.from(lettersOf(index), "latin1").copy(target, at),
    [Symbol.dispose]: () => {},
  };
}

const lettersOf = (index: number): string => Buffer.from(keyBytes(0, index, 8 * (index + 1))).toString("base64");

test.each([
  ["0x1203", 0x2101, "", '"response":"success"'],
  ["0x1209", 0x2108, '"session_ID":"s-1",', '"response":"success"'],
  ["0x120A", 0x120a, '"session_ID":"s-1",', ""],
])("%s has keys with IDs of any length, those of another make", (_, code, front, back) => {
  const ids = ["k", "00000000-0500-4000-8000-000000000000", "x".repeat(256)];
  const ready = { code, messageId: 1, sessionId: "s-1", grant: grantOf(ids) };
  const frame = Buffer.alloc(frameBytes(ready));
  expect(writeKeys(frame, 0, ready)).toBe(frame.length);
  const keys = ids.map((key_ID, index) => ({ key: lettersOf(index), key_ID }));
  const text = `{${front}"keys":${JSON.stringify(keys)}${back === "" ? "" : `,${back}`}}`;
  expect(frame.subarray(10).toString("utf8")).toBe(text);
  expect(idsOf(ready.grant)).toEqual(ids);
});
