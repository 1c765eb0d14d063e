// Key bytes are overwritten in the payload, and nothing else is.

import fc from "fast-check";
import { expect, it } from "vitest";
import { concealKeys } from "../../src/kx/conceal.ts";

function concealed(text: string): string {
  const bytes = Buffer.from(text, "utf8");
  concealKeys(bytes);
  return bytes.toString("utf8");
}

it.each([
  ['{"key":"QUJD","key_ID":"key"}', '{"key":"****","key_ID":"key"}'],
  ['{"keys":[{"key":"AA=="},{"key" \n:\t"QQ=="}]}', '{"keys":[{"key":"****"},{"key" \n:\t"****"}]}'],
  ['{"key":"","a":"key"}', '{"key":"","a":"key"}'],
  ['{"a":"key","b":"\\"key\\":\\"x\\""}', '{"a":"key","b":"\\"key\\":\\"x\\""}'],
  ['{"k\\u0065y":"QUJD","k\\\\y":"QUJD"}', '{"k\\u0065y":"****","k\\\\y":"QUJD"}'],
  ['{"key":"a\\"b\\\\","c":"d"}', '{"key":"******","c":"d"}'],
  ['{"key":5,"c":"d"}', '{"key":5,"c":"d"}'],
  ['["key","key"]', '["key","key"]'],
])("%s becomes %s", (before, after) => {
  expect(concealed(before)).toBe(after);
});

it("JSON stays the same JSON but for the values of key", () => {
  const json = fc.jsonValue().map((value) => ({ value, key: "secret", list: [{ key: "secret" }] }));
  fc.assert(
    fc.property(json, (value) => {
      const expected = JSON.stringify(value, (name, of) =>
        name === "key" && typeof of === "string" ? hidden(of) : of,
      );
      expect(JSON.stringify(JSON.parse(concealed(JSON.stringify(value))))).toBe(expected);
    }),
  );
});

const hidden = (text: string): string => "*".repeat(Buffer.byteLength(JSON.stringify(text), "utf8") - 2);

it("any bytes at all come back in the same length, without a throw", () => {
  const token = fc.constantFrom('"key"', ":", '"', "\\", " ", "abc", '"k\\u0065y"', '"\\u00', "{");
  fc.assert(
    fc.property(fc.array(token), (tokens) => {
      expect(concealed(tokens.join("")).length).toBe(tokens.join("").length);
    }),
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => concealKeys(bytes)));
});
