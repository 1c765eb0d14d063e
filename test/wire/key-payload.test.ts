// Payloads with keys: the keys are found as bytes, the rest is the same JSON, and nothing in between is believed.

import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameError } from "../../src/wire/frame.ts";
import { parseKeyPayload } from "../../src/wire/key-payload.ts";
import { encodePayload, parsePayload } from "../../src/wire/payload.ts";

const read = (text: string): { json: unknown; keys: string[] } => {
  const { json, keys } = parseKeyPayload(Buffer.from(text));
  return { json, keys: keys.map((letters) => Buffer.from(letters).toString("latin1")) };
};

test("keys come out as bytes, in order, and their places in the JSON are empty", () => {
  const text =
    '{"keys":[{"key":"AAAA","key_ID":"1"},{"key_ID":"2","key":"BBBB","key_extension":{"key":"stays"}}],"response":"ä"}';
  expect(read(text)).toEqual({
    json: {
      keys: [
        { key: "", key_ID: "1" },
        { key: "", key_ID: "2", key_extension: { key: "stays" } },
      ],
      response: "ä",
    },
    keys: ["AAAA", "BBBB"],
  });
});

test("space is allowed wherever JSON allows it", () => {
  expect(read(' { "a" : [ { } , [ ] , -1.5e3 , "]" ] , "keys" : [ { "key" : "AAAA" } , {} ] } ')).toEqual({
    json: { a: [{}, [], -1500, "]"], keys: [{ key: "" }, {}] },
    keys: ["AAAA", ""],
  });
});

test("entries without a key keep their place, and keys that are no array are left to the check of the message", () => {
  expect(read('{"keys":[1,{"key":2},"x",{"key":"AA=="},null]}').keys).toEqual(["", "", "", "AA==", ""]);
  expect(read('{"keys":{"key":"x"}}').keys).toEqual([]);
  expect(read("{}").keys).toEqual([]);
});

test("escaped slashes are unescaped in the payload", () => {
  expect(read('{"keys":[{"key":"\\/A\\/\\/A="}]}').keys).toEqual(["/A//A="]);
});

test.each([
  '{"keys":[{"key":"A","key":"B"}]}',
  '{"keys":[],"keys":[{"key":"A"}]}',
  '{"keys":[{"k\\u0065y":"A"}]}',
  '{"k\\u0065ys":[{"key":"A"}]}',
  "",
  "[]",
  '"keys"',
  "{",
  '{"keys"',
  '{"keys":',
  '{"keys":[{"key":"A',
  '{"keys":[{"key":"A\\',
  '{"keys":[{"key":"A"}]',
  '{"keys":[{"key":"A"}}}',
  '{"keys":]}',
  '{"a":,}',
  '{"a":1 "b":2}',
  '{"keys":[{"key":"A"},]}',
  '{"a":"\u0001"}',
])("%j is refused", (text) => {
  expect(() => read(text)).toThrow(FrameError);
});

test("bytes that are not UTF-8 are refused, and a byte order mark is passed over", () => {
  expect(() => parseKeyPayload(Buffer.from('{"a":"\xff"}', "latin1"))).toThrow(FrameError);
  const { json, keys } = parseKeyPayload(Buffer.from('\ufeff{"keys":[{"key":"AA=="}]}'));
  expect([json, keys.map(String)]).toEqual([{ keys: [{ key: "" }] }, [String(Buffer.from("AA=="))]]);
  expect(() => parsePayload(Buffer.from('{"a":"\xff"}', "latin1"))).toThrow(FrameError);
  expect(parsePayload(Buffer.from('\ufeff{"a":1}'))).toEqual({ a: 1 });
  expect(() => parsePayload(Buffer.from("[]"))).toThrow(FrameError);
});

test("a refusal does not quote what it read", () => {
  const sentence = (text: string): string => {
    try {
      read(text);
    } catch (thrown) {
      return String(thrown);
    }
    return "";
  };
  expect(sentence('{"keys":[{"key":"c2VjcmV0"}],"response":oops}')).toBe(
    "FrameError: the payload is not JSON in UTF-8 (SyntaxError)",
  );
  expect(sentence('{"response":c2VjcmV0}')).not.toContain("c2Vj");
});

test("any JSON object reads as it does without keys, cut at every byte it is refused", () => {
  const entry = fc.record(
    { key: fc.base64String(), key_ID: fc.string(), other: fc.jsonValue() },
    { requiredKeys: ["key"] },
  );
  const payload = fc.record({ before: fc.jsonValue(), keys: fc.array(entry, { maxLength: 4 }), after: fc.jsonValue() });
  fc.assert(
    fc.property(payload, fc.nat(2), (json, indent) => {
      const whole = Buffer.from(JSON.stringify(json, undefined, indent));
      const found = parseKeyPayload(Buffer.from(whole));
      const empty = { ...json, keys: json.keys.map((each) => ({ ...each, key: "" })) };
      expect(found.json).toEqual(JSON.parse(JSON.stringify(empty)));
      expect(found.keys.map((letters) => Buffer.from(letters).toString())).toEqual(json.keys.map(({ key }) => key));
      for (let cut = 0; cut < whole.length; cut += 7) {
        expect(() => parseKeyPayload(Buffer.from(whole.subarray(0, cut)))).toThrow(FrameError);
      }
    }),
    { numRuns: 60 },
  );
});

test("random bytes are refused or read, never anything else", () => {
  const noise = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
  );
  fc.assert(
    fc.property(noise, (bytes) => {
      try {
        expect(encodePayload(parseKeyPayload(Uint8Array.from(bytes)).json).length).toBeGreaterThan(1);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(FrameError);
      }
    }),
  );
});
