// Payloads as JSON, and those that come again.

import { describe, expect, test } from "vitest";
import { parsePayload } from "../../src/wire/payload.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

describe("RFC 8259: a payload", () => {
  test.each(["", "1", "[]", "null", '"{}"', "{", "{}x", "{'a':1}"])("that is %j is refused", (text) => {
    expect(() => parsePayload(bytes(text))).toThrow(/not JSON in UTF-8|not a JSON object/);
  });

  test("that is no UTF-8 is refused", () => {
    expect(() => parsePayload(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d))).toThrow("not JSON in UTF-8");
  });
});
