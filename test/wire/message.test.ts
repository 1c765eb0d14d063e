// Message tables: what a row accepts, and how it names what it does not.

import { expect, expectTypeOf, test } from "vitest";
import { Fault } from "../../src/core/fault.ts";
import { byCode, check, codeText, message, optional, type PayloadOf, required } from "../../src/wire/message.ts";
import { bits, count, keyIds, keys, names, object, objects, text } from "../../src/wire/types.ts";

const ROW = message(0x120a, "clause 1", {
  word: required(text, "a word"),
  number: optional(count, "a number"),
  size: optional(bits, "a size"),
  one: optional(object, "an object"),
  many: optional(objects, "objects"),
  keys: optional(keys, "keys"),
  key_IDs: optional(keyIds, "IDs"),
  route: optional(names, "names"),
});

function complaint(json: object): string {
  try {
    check(ROW, json);
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code === "MALFORMED_REQUEST") return thrown.message;
    throw thrown;
  }
  return "";
}

test("a payload that fits is the same object, typed, with members that nobody named", () => {
  const json = { word: "w", number: 0, size: 256, one: {}, many: [{}], route: ["a", "b"], other: 1 };
  const payload = check(ROW, json);
  expect(payload).toBe(json);
  expectTypeOf(payload.word).toEqualTypeOf<string>();
  expectTypeOf<PayloadOf<typeof ROW>["number"]>().toEqualTypeOf<number | undefined>();
});

test.each<[object, string]>([
  [{}, "word is missing"],
  [{ word: 1 }, "word must be a string"],
  [{ word: null }, "word is missing"],
  [{ word: "", number: -1 }, "number must be an integer, 0 or more"],
  [{ word: "", number: 1.5 }, "number must be an integer, 0 or more"],
  [{ word: "", number: "1" }, "number must be an integer, 0 or more"],
  [{ word: "", number: 2 ** 53 }, "number must be an integer, 0 or more"],
  [{ word: "", size: true }, "size must be an integer number of bits, 0 or more"],
  [{ word: "", one: [] }, "one must be an object"],
  [{ word: "", many: {} }, "many must be an array of objects"],
  [{ word: "", many: [{}, null] }, "many[1] must be an object"],
  [{ word: "", keys: [{ key: "" }] }, "keys[0].key_ID is missing"],
  [{ word: "", keys: [{ key: 1, key_ID: "" }] }, "keys[0].key must be a string"],
  [{ word: "", keys: [{ key: "", key_ID: "", key_extension: 1 }] }, "keys[0].key_extension must be an object"],
  [{ word: "", key_IDs: ["x"] }, "key_IDs[0] must be an object"],
  [{ word: "", key_IDs: [{ key_ID: "x" }, {}] }, "key_IDs[1].key_ID is missing"],
  [{ word: "", route: [1] }, "route must be a comma-separated string or an array of strings"],
])("%j: %s", (json, sentence) => {
  expect(complaint(json)).toBe(sentence);
});

test("a name inherited from Object.prototype is no parameter", () => {
  const row = message(1, "", { toString: required(text, "") });
  expect(() => check(row, {})).toThrow("toString is missing");
});

test("two rows of one code are refused, and codes print as the standards write them", () => {
  expect(byCode({ ROW }).get(0x120a)).toBe(ROW);
  expect(() => byCode({ ROW, again: ROW })).toThrow("0x120a");
  expect(codeText(0x120a)).toBe("0x120A");
});
